package cli

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestNoOptionIsParsedAndIgnored: what an option is stored in is read somewhere. It looks at the text of the packages: a
// variable within its function, a field within its package.
func TestNoOptionIsParsedAndIgnored(t *testing.T) {
	bound := 0
	for _, dir := range []string{".", "request"} {
		unread, n := unreadOptions(t, dir)
		for _, name := range unread {
			t.Errorf("%s: an option is stored in %s, and nothing reads it", dir, name)
		}
		bound += n
	}
	if bound < 200 {
		t.Errorf("only %d options were found", bound)
	}
}

// unreadOptions gives the variables and fields of a package that options are stored in and that have no other use, and how
// many options there are.
func unreadOptions(t *testing.T, dir string) (unread []string, bound int) {
	t.Helper()
	packages, err := parser.ParseDir(token.NewFileSet(), dir, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	locals, fields := map[string]int{}, map[string]int{} // uses that do not bind; those of locals by FUNCTION.NAME
	var boundLocals, boundFields []string
	ours := map[string]bool{} // fields of the package's own structures; others are handed on whole
	for _, p := range packages {
		for name, file := range p.Files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			ast.Inspect(file, func(n ast.Node) bool {
				if s, ok := n.(*ast.StructType); ok {
					for _, field := range s.Fields.List {
						for _, name := range field.Names {
							ours[name.Name] = true
						}
					}
				}
				return true
			})
			for _, d := range file.Decls {
				f, ok := d.(*ast.FuncDecl)
				if !ok {
					continue
				}
				for _, place := range optionsOf(f) {
					switch x := place.(type) {
					case *ast.Ident:
						boundLocals = append(boundLocals, f.Name.Name+"."+x.Name)
						locals[f.Name.Name+"."+x.Name]-- // the walk below comes by here, too
					case *ast.SelectorExpr:
						boundFields = append(boundFields, x.Sel.Name)
						fields[x.Sel.Name]--
					}
				}
				ast.Inspect(f, func(n ast.Node) bool {
					switch x := n.(type) {
					case *ast.ValueSpec: // a declaration is no use
						for _, v := range x.Names {
							locals[f.Name.Name+"."+v.Name]--
						}
					case *ast.Ident:
						locals[f.Name.Name+"."+x.Name]++
					case *ast.SelectorExpr:
						fields[x.Sel.Name]++
					}
					return true
				})
			}
		}
	}
	for _, name := range boundLocals {
		if locals[name] <= 0 {
			unread = append(unread, name)
		}
	}
	for _, name := range boundFields {
		if ours[name] && fields[name] <= 0 {
			unread = append(unread, name)
		}
	}
	return unread, len(boundLocals) + len(boundFields)
}

// optionsOf gives what the options that a function declares are stored in: x of StringVar(&x, …) and of Var((*words)(&x), …).
func optionsOf(f *ast.FuncDecl) (places []ast.Expr) {
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) < 4 {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok || !strings.HasSuffix(strings.TrimSuffix(method.Sel.Name, "P"), "Var") {
			return true
		}
		arg := call.Args[0]
		if conversion, ok := arg.(*ast.CallExpr); ok && len(conversion.Args) == 1 {
			arg = conversion.Args[0]
		}
		if address, ok := arg.(*ast.UnaryExpr); ok && address.Op == token.AND {
			places = append(places, address.X)
		}
		return true
	})
	return places
}

// TestCheckAndExplainUseEveryOption: each option that a command line of run or create has changes what the engine is asked,
// or what is printed, or is refused.
func TestCheckAndExplainUseEveryOption(t *testing.T) {
	f := newFake(t)
	layReplies(f)
	nothing := []string{"help", "disable-content-trust"} // the latter is what is the case anyway, or refused
	for _, line := range []string{"policy check run", "policy check create", "explain run", "explain create"} {
		words := strings.Fields(line)
		try := func(option ...string) string {
			f.mu.Lock()
			f.seen = nil
			f.mu.Unlock()
			r := f.brig("", slices.Concat(words, option, []string{"busybox", "true"})...)
			sent := ""
			for _, s := range f.seen {
				sent += s.Line + "\n" + s.Body + "\n"
			}
			return sent + r.out + r.err
		}
		plain := try()
		if strings.Count(plain, "POST /brig/") != 1 {
			t.Fatalf("%s: asked %q", line, plain)
		}
		cmd := commandOf(t, words)
		tried := 0
		cmd.Flags().VisitAll(func(flag *pflag.Flag) {
			if slices.Contains(nothing, flag.Name) {
				return
			}
			tried++
			values := []string{"1", "0"} // of every type
			if flag.Value.Type() == "string" {
				values = append(values, "/x")
			}
			if !slices.ContainsFunc(values, func(value string) bool { return try("--"+flag.Name+"="+value) != plain }) {
				t.Errorf("%s --%s changes nothing and is not refused", line, flag.Name)
			}
		})
		if tried < 100 {
			t.Errorf("%s: only %d options", line, tried)
		}
	}
}

func commandOf(t *testing.T, words []string) *cobra.Command {
	t.Helper()
	a := &App{}
	a.defaults()
	cmd, _, err := newRoot(a, words).Find(words)
	if err != nil {
		t.Fatal(err)
	}
	return cmd
}
