package cli

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path"

	"github.com/docker/go-units"
	"github.com/spf13/cobra"

	"github.com/brig-engine/brig/internal/cli/api"
	"github.com/brig-engine/brig/internal/cli/console"
	"github.com/brig-engine/brig/internal/cli/cp"
)

// copying is one brig cp.
type copying struct {
	app            *App
	ctx            context.Context
	owners, follow bool
	quiet          bool
}

func newCopy(a *App) *cobra.Command {
	c := &copying{app: a}
	cmd := &cobra.Command{
		Use:   "cp [OPTIONS] CONTAINER:PATH LOCAL|-\n  brig cp [OPTIONS] LOCAL|- CONTAINER:PATH",
		Short: "Copy files between a container and this machine", Args: words(2, 2),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.ctx = cmd.Context()
			if !cmd.Flags().Changed("quiet") {
				c.quiet = !console.Of(a.Out).Is()
			}
			return c.run(args[0], args[1])
		},
	}
	cmd.Flags().BoolVarP(&c.owners, "archive", "a", false, "Into a container: give the files to the container's user")
	cmd.Flags().BoolVarP(&c.follow, "follow-link", "L", false, "Follow a symbolic link that is the source")
	cmd.Flags().BoolVarP(&c.quiet, "quiet", "q", false, "Do not say what was copied")
	return cmd
}

func (c *copying) run(src, dst string) error {
	if src == "" {
		return errors.New("source can not be empty")
	}
	if dst == "" {
		return errors.New("destination can not be empty")
	}
	from, srcPath := cp.Split(src)
	to, dstPath := cp.Split(dst)
	switch {
	case from != "" && to != "":
		return errors.New("copying between containers is not supported")
	case from != "":
		return c.out(from, srcPath, dstPath)
	case to != "":
		return c.in(srcPath, to, dstPath)
	}
	return errors.New("must specify at least one container source")
}

// pathStat is the engine's description of a file in a container.
type pathStat struct {
	Name       string      `json:"name"`
	Mode       fs.FileMode `json:"mode"`
	LinkTarget string      `json:"linkTarget"`
}

func archivePath(container string) string {
	return "/containers/" + url.PathEscape(container) + "/archive"
}

// statOf describes a file in a container.
func statOf(ctx context.Context, engine *api.Client, container, p string) (*pathStat, error) {
	res, err := engine.Do(ctx, api.Request{Method: "HEAD", Path: archivePath(container), Query: url.Values{"path": {p}}})
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return decodeStat(res)
}

func decodeStat(res *api.Response) (*pathStat, error) {
	b, err := base64.StdEncoding.DecodeString(res.Header["x-docker-container-path-stat"])
	st := &pathStat{}
	if err == nil {
		err = json.Unmarshal(b, st)
	}
	if err != nil {
		return nil, fmt.Errorf("the engine's description of the file: %w", err)
	}
	return st, nil
}

// out copies from a container.
func (c *copying) out(container, srcPath, dst string) error {
	var target cp.End
	var err error
	if dst != "-" {
		if target, err = cp.LocalTarget(dst); err != nil {
			return err
		}
	}
	engine, err := c.app.engine()
	if err != nil {
		return err
	}
	src := cp.End{Path: srcPath, Exists: true}
	if c.follow {
		if st, err := statOf(c.ctx, engine, container, srcPath); err == nil && st.Mode&fs.ModeSymlink != 0 {
			if _, base := cp.Entry(srcPath); base != path.Base(st.LinkTarget) {
				src.Rename = base
			}
			src.Path = st.LinkTarget
		}
	}
	res, err := engine.Do(c.ctx, api.Request{Method: "GET", Path: archivePath(container), Query: url.Values{"path": {src.Path}}})
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if dst == "-" {
		_, err = io.Copy(c.app.Out, res.Body)
		return err
	}
	st, err := decodeStat(res)
	if err != nil {
		return err
	}
	src.IsDir = st.Mode.IsDir()
	dir, top, err := cp.Plan(src, target)
	if err != nil {
		return err
	}
	_, base := cp.Entry(path.Join("/", src.Path) + trailing(src.Path))
	n, err := cp.Unpack(res.Body, dir, base, top, func(name, why string) { c.app.say("%s was left out: %s", name, why) })
	if err != nil {
		return err
	}
	c.done(n, dst)
	return nil
}

// trailing is what path.Join takes off and that has a meaning.
func trailing(p string) string {
	if _, base := cp.Entry(p); base == "." {
		return "/."
	}
	return ""
}

func (c *copying) done(n int64, where string) {
	if !c.quiet {
		c.app.say("copied %s to %s", units.HumanSize(float64(n)), where)
	}
}

// in copies to a container.
func (c *copying) in(srcPath, container, dst string) error {
	engine, err := c.app.engine()
	if err != nil {
		return err
	}
	target := cp.End{Path: dst}
	st, err := statOf(c.ctx, engine, container, dst)
	if err == nil && st.Mode&fs.ModeSymlink != 0 {
		target.Path = st.LinkTarget
		st, err = statOf(c.ctx, engine, container, target.Path)
	}
	if err == nil { // otherwise it is new, if its directory is there
		target.Exists, target.IsDir = true, st.Mode.IsDir()
		if !target.IsDir && !st.Mode.IsRegular() {
			return fmt.Errorf("destination \"%s:%s\" must be a directory or a regular file", container, dst)
		}
	}
	if srcPath == "-" {
		if !target.IsDir {
			return fmt.Errorf("destination \"%s:%s\" must be a directory", container, dst)
		}
		return c.put(engine, container, target.Path, c.app.In)
	}
	src, err := cp.LocalSource(srcPath, c.follow)
	if err != nil {
		return err
	}
	dir, top, err := cp.Plan(src, target)
	if err != nil {
		return err
	}
	body := cp.Pack(src, top)
	defer body.Close()
	counted := &counter{r: body}
	if err := c.put(engine, container, dir, counted); err != nil {
		return err
	}
	c.done(counted.n, container+":"+dst)
	return nil
}

func (c *copying) put(engine *api.Client, container, dir string, body io.Reader) error {
	q := url.Values{"path": {dir}, "noOverwriteDirNonDir": {"true"}}
	setFlag(q, "copyUIDGID", c.owners)
	return engine.CallRequest(c.ctx, api.Request{Method: "PUT", Path: archivePath(container), Query: q, Body: body,
		Header: map[string]string{"Content-Type": "application/x-tar"}}, nil)
}

// counter counts what was read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}
