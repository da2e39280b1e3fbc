package cli

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/show"
)

// damages is the answer to /brig/check.
type damages struct {
	Checked  struct{ Images, Containers, Volumes, Networks int }
	Damages  []damage
	Contents bool
}

type damage struct {
	Kind   string
	Object string
	What   string
	Next   string
	Mended bool
	Error  string
}

func newSystemCheck(a *App) *cobra.Command {
	var format string
	var repair, full bool
	cmd := &cobra.Command{
		Use: "check [OPTIONS]", Short: "Find what is broken in the engine's directories, and mend it", Args: words(0, 0),
		Long: "Find what a crash, a disk or a person has broken in the engine's directories: records, images, volumes,\n" +
			"files of containers. The exit code is 1 if something is wrong and was not mended.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			engine, err := a.engine()
			if err != nil {
				return err
			}
			method, path := "GET", "/brig/check"
			if repair {
				method = "POST"
			}
			if full {
				path += "?contents=1"
			}
			var d damages
			if err := engine.Call(cmd.Context(), method, path, nil, &d); err != nil {
				return err
			}
			if format != "" {
				err = show.One(a.document(), format, d)
			} else {
				err = d.print(a.Out)
			}
			if err == nil && d.left() > 0 {
				err = &exitError{code: 1}
			}
			return err
		},
	}
	cmd.Flags().StringVarP(&format, "format", "f", "", "Format: json, or a template")
	cmd.Flags().BoolVar(&repair, "repair", false, "Mend what can be mended")
	cmd.Flags().BoolVar(&full, "full", false, "Read every object of every image and compute its digest")
	return cmd
}

func (d *damages) left() (n int) {
	for _, x := range d.Damages {
		if !x.Mended {
			n++
		}
	}
	return n
}

func (d *damages) print(w io.Writer) error {
	for _, x := range d.Damages {
		line := fmt.Sprintf("%s %s: %s", x.Kind, x.Object, x.What)
		switch {
		case x.Mended:
			line += " (mended)"
		case x.Error != "":
			line += " (" + x.Error + ")"
		case x.Next != "":
			line += ". Next: " + x.Next
		}
		if _, err := fmt.Fprintln(w, show.Clean(line, false)); err != nil {
			return err
		}
	}
	c := d.Checked
	how := "sizes compared; --full reads contents"
	if d.Contents {
		how = "contents read"
	}
	_, err := fmt.Fprintf(w, "%d images (%s), %d containers, %d volumes, %d networks: %d damaged, %d mended\n", c.Images, how,
		c.Containers, c.Volumes, c.Networks, len(d.Damages), len(d.Damages)-d.left())
	return err
}
