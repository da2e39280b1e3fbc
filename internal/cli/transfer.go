package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/api"
	"github.com/brig-engine/brig/internal/cli/console"
	"github.com/brig-engine/brig/internal/cli/show"
)

func newPull(a *App) *cobra.Command {
	var quiet bool
	var platform string
	cmd := &cobra.Command{
		Use: "pull [OPTIONS] NAME[:TAG|@DIGEST]", Short: "Fetch an image from a registry", Args: words(1, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			w := a.Out
			if quiet {
				w = io.Discard
			}
			name := withTag(args[0])
			if err := a.pull(cmd.Context(), name, platform, w); err != nil {
				return err
			}
			fmt.Fprintln(a.Out, name)
			return nil
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "Print the name only")
	cmd.Flags().StringVar(&platform, "platform", "", "Platform of the image (os/arch[/variant])")
	return cmd
}

// withTag adds the tag that is meant when there is neither a tag nor a digest.
func withTag(name string) string {
	if _, tag := cutTag(name); tag != "" || strings.Contains(name, "@") {
		return name
	}
	return name + ":latest"
}

// pullForRun pulls as a part of run or create, whose standard output belongs to the program.
func (a *App) pullForRun(ctx context.Context, name, platform string, quiet bool) error {
	w := a.Err
	if quiet {
		w = io.Discard
	}
	return a.pull(ctx, withTag(name), platform, w)
}

func (a *App) pull(ctx context.Context, name, platform string, w io.Writer) error {
	repo, tag := cutTag(name)
	if r, digest, ok := strings.Cut(name, "@"); ok {
		repo, _ = cutTag(r)
		tag = digest
	}
	q := url.Values{"fromImage": {repo}, "tag": {tag}}
	setQuery(q, "platform", platform)
	return a.transfer(ctx, api.Request{Method: "POST", Path: "/images/create", Query: q, Header: a.registryAuth(repo)}, w)
}

// transfer sends a request whose reply is a stream of progress messages, and prints them to w.
func (a *App) transfer(ctx context.Context, req api.Request, w io.Writer) error {
	res, err := a.do(ctx, req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return show.Progress(w, res.Body, a.terminalWidth(w), nil)
}

func newPush(a *App) *cobra.Command {
	var quiet bool
	cmd := &cobra.Command{
		Use: "push [OPTIONS] NAME[:TAG]", Short: "Send an image to a registry", Args: words(1, 1),
		ValidArgsFunction: a.completeImages,
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.Contains(args[0], "@") {
				return errors.New("a push needs a name with a tag, not a digest")
			}
			name := withTag(args[0])
			repo, tag := cutTag(name)
			w := a.Out
			if quiet {
				w = io.Discard
			}
			header := a.registryAuth(repo)
			if header == nil {
				header = map[string]string{authHeader: noAuth}
			}
			path, q := "/images/"+escape(repo)+"/push", url.Values{"tag": {tag}}
			req := api.Request{Method: "POST", Path: path, Query: q, Header: header}
			if err := a.transfer(cmd.Context(), req, w); err != nil {
				return err
			}
			if quiet {
				fmt.Fprintln(a.Out, name)
			}
			return nil
		},
	}
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "Print the name only")
	return cmd
}

func newLoad(a *App) *cobra.Command {
	var input, platform string
	var quiet bool
	cmd := &cobra.Command{
		Use: "load [OPTIONS]", Short: "Bring in images from an archive, an OCI layout or standard input", Args: words(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			body, length, err := a.archive(input)
			if err != nil {
				return err
			}
			defer body.Close()
			q := url.Values{}
			setQuery(q, "platform", platform)
			w := a.Out
			width := a.terminalWidth(w)
			setFlag(q, "quiet", quiet || width == 0)
			return a.transfer(cmd.Context(), api.Request{
				Method: "POST", Path: "/images/load", Query: q, Body: body, Length: length,
				Header: map[string]string{"Content-Type": "application/x-tar"},
			}, w)
		},
	}
	cmd.Flags().StringVarP(&input, "input", "i", "", "File or directory to read instead of standard input")
	cmd.Flags().BoolVarP(&quiet, "quiet", "q", false, "Do not print progress")
	cmd.Flags().StringVar(&platform, "platform", "", "Platform to bring in (os/arch[/variant])")
	return cmd
}

// archive opens what load reads. length is 0 if it is not known before.
func (a *App) archive(path string) (body io.ReadCloser, length int64, err error) {
	if path == "" || path == "-" {
		if console.Of(a.In).Is() {
			return nil, 0, errors.New("an archive is needed on standard input, or a file or directory with -i")
		}
		return io.NopCloser(a.In), 0, nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, 0, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		f.Close()
		return nil, 0, err
	case info.IsDir():
		f.Close()
		body, err = packLayout(path)
		return body, 0, err
	case info.Mode().IsRegular():
		length = info.Size()
	}
	return f, length, nil
}

func newSave(a *App) *cobra.Command {
	var output, platform string
	cmd := &cobra.Command{
		Use: "save [OPTIONS] IMAGE [IMAGE...]", Short: "Write images to an archive", Args: words(1, -1),
		ValidArgsFunction: a.completeImages,
		RunE: func(cmd *cobra.Command, args []string) error {
			q := url.Values{"names": args}
			setQuery(q, "platform", platform)
			return a.download(cmd.Context(), api.Request{Method: "GET", Path: "/images/get", Query: q}, output)
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "", "File to write instead of standard output")
	cmd.Flags().StringVar(&platform, "platform", "", "Platform to write (os/arch[/variant])")
	return cmd
}

// download keeps an archive in a file, or writes it out.
func (a *App) download(ctx context.Context, req api.Request, output string) error {
	if output == "" && console.Of(a.Out).Is() {
		return errors.New("an archive does not belong on a terminal. Next: -o FILE, or redirect the output")
	}
	res, err := a.do(ctx, req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if output == "" {
		_, err = io.Copy(a.Out, res.Body)
		return err
	}
	return writeFile(output, res.Body)
}

func newImport(a *App) *cobra.Command {
	var changes []string
	var message, platform string
	cmd := &cobra.Command{
		Use: "import [OPTIONS] FILE|- [NAME[:TAG]]", Short: "Make an image from the archive of a file system",
		Args: words(1, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if strings.HasPrefix(args[0], "http://") || strings.HasPrefix(args[0], "https://") {
				return errors.New("the engine fetches no archives from the web. Next: curl ADDRESS | brig import -")
			}
			body, length, err := a.archive(args[0])
			if err != nil {
				return err
			}
			defer body.Close()
			q := url.Values{"fromSrc": {"-"}, "changes": changes}
			if len(args) == 2 {
				q.Set("repo", args[1])
			}
			setQuery(q, "message", message)
			setQuery(q, "platform", platform)
			req := api.Request{Method: "POST", Path: "/images/create", Query: q, Body: body, Length: length,
				Header: map[string]string{"Content-Type": "application/x-tar"}}
			if a.terminalWidth(a.Out) > 0 {
				return a.transfer(cmd.Context(), req, a.Out)
			}
			// A script reads the identifier, which comes last, and nothing else.
			var said strings.Builder
			err = a.transfer(cmd.Context(), req, &said)
			if lines := strings.Split(strings.TrimSpace(said.String()), "\n"); err == nil {
				fmt.Fprintln(a.Out, lines[len(lines)-1])
			}
			return err
		},
	}
	cmd.Flags().StringArrayVarP(&changes, "change", "c", nil, "Apply a Dockerfile instruction to the image")
	cmd.Flags().StringVarP(&message, "message", "m", "", "Comment of the image")
	cmd.Flags().StringVar(&platform, "platform", "", "Platform of the image (os/arch[/variant])")
	return cmd
}
