package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/urfave/cli/v2"
)

func testApp() (*program, *cli.App) {
	p := newProgram(strings.NewReader(""), new(strings.Builder), new(strings.Builder))
	return p, p.app()
}

func TestFlagsStandAnywhere(t *testing.T) {
	for typed, want := range map[string]string{
		"list":                                 "mstore list --",
		"ls":                                   "mstore list --",
		"list --store x":                       "mstore --store=x list --",
		"--store x list":                       "mstore --store=x list --",
		"--store=x list":                       "mstore --store=x list --",
		"-store x list":                        "mstore --store=x list --",
		"--format=json list":                   "mstore --format=json list --",
		"pull ref --quiet":                     "mstore --quiet=true pull -- ref",
		"pull --quiet ref":                     "mstore --quiet=true pull -- ref",
		"pull --quiet=false ref":               "mstore --quiet=false pull -- ref",
		"--as a pull ref":                      "mstore pull --as=a -- ref",
		"pull ref --as a --store s other":      "mstore --store=s pull --as=a -- ref other",
		"pull -- ref --as a":                   "mstore pull -- ref --as a",
		"pull --as=a=b ref":                    "mstore pull --as=a=b -- ref",
		"pull --as -x ref":                     "mstore pull --as=-x -- ref",
		"pull --as -- ref":                     "mstore pull --as=-- -- ref",
		"show -":                               "mstore show -- -",
		"show -5":                              "mstore show -- -5",
		"show -.5":                             "mstore show -- -.5",
		"rm a,b c":                             "mstore rm -- a,b c",
		"rm help":                              "mstore rm -- help",
		"rm store":                             "mstore rm -- store",
		"rm list":                              "mstore rm -- list",
		"login h -u me":                        "mstore login --username=me -- h",
		"login h --u me":                       "mstore login --username=me -- h",
		"exec m -- ls -l --store x -- -h":      "mstore exec -- m ls -l --store x -- -h",
		"exec m ls -l --store x --help":        "mstore exec -- m ls -l --store x --help",
		"exec --store s m ls --store x":        "mstore --store=s exec -- m ls --store x",
		"exec m --store s ls --store x":        "mstore --store=s exec -- m ls --store x",
		"exec -- m -- ls":                      "mstore exec -- m -- ls",
		"exec m -- --":                         "mstore exec -- m --",
		"-- list":                              "mstore list --",
		"gc --all --yes --dry-run --grace 24h": "mstore gc --all=true --yes=true --dry-run=true --grace=24h --",
		"verify --file p --size 0 m":           "mstore verify --file=p --size=0 -- m",
	} {
		_, app := testApp()
		l, err := newGrammar(app).parse(strings.Fields(typed))
		if err != nil {
			t.Errorf("%s: %v", typed, err)
			continue
		}
		if got := strings.Join(l.argv("mstore"), " "); got != want {
			t.Errorf("%s\n got %s\nwant %s", typed, got, want)
		}
	}
}

func TestWrongLines(t *testing.T) {
	for typed, want := range map[string][2]string{
		"plul":                    {`"plul" is no command of mstore`, "did you mean `mstore pull`?"},
		"frobnicate x":            {`"frobnicate" is no command of mstore`, "`mstore help` lists the commands"},
		"show --stroe x m":        {"mstore show has no flag --stroe", "did you mean --store?"},
		"pull --nonsense x":       {"mstore pull has no flag --nonsense", "`mstore pull --help` lists the flags"},
		"list --dry-run":          {"mstore list has no flag --dry-run", "`mstore list --help` lists the flags"},
		"--nosense":               {"mstore has no flag --nosense", "`mstore --help` lists the flags"},
		"pull x --as":             {"--as wants a value", ""},
		"pull x --as=":            {"--as wants a value", ""},
		"list --store=":           {"--store wants a value", ""},
		"pull x --jobs many":      {`--jobs wants a whole number, not "many"`, ""},
		"pull x --timeout 60":     {`--timeout wants a duration with its unit, such as 90s, 5m or 24h, not "60"`, ""},
		"gc --grace=-1s":          {`--grace wants a duration with its unit, such as 90s, 5m or 24h, not "-1s"`, ""},
		"verify --size 1k":        {`--size wants a number of bytes, not "1k"`, ""},
		"list --quiet=sometimes":  {`--quiet is on or off and takes no value, not "sometimes"`, ""},
		"pull x --retries=2 -x=3": {"mstore pull has no flag -x", "`mstore pull --help` lists the flags"},
	} {
		_, app := testApp()
		_, err := newGrammar(app).parse(strings.Fields(typed))
		if err == nil {
			t.Errorf("%s is taken", typed)
			continue
		}
		if got := [2]string{err.Error(), hintFor(err)}; got != want || exitCode(err) != exitUsage {
			t.Errorf("%s: exit %d\n got %q\nwant %q", typed, exitCode(err), got, want)
		}
	}
}

func TestHelpIsGivenWhateverElseIsWrong(t *testing.T) {
	for _, typed := range []string{
		"help", "--help", "-h", "help pull", "pull --help", "pull -h", "--help pull", "pull --nonsense --help", "-h plul",
		"pull a b --as --help -h", "exec -h", "exec m --help",
	} {
		p, _ := testApp()
		out := new(strings.Builder)
		p.out = out
		if code := p.run(t.Context(), strings.Fields(typed)); code != exitDone || !strings.Contains(out.String(), "usage: mstore") {
			t.Errorf("%s: exit %d, %q", typed, code, out)
		}
	}
}

// TestAFlagMeansOneThing guards what finding the command relies on: a name takes a value everywhere, or nowhere.
func TestAFlagMeansOneThing(t *testing.T) {
	_, app := testApp()
	takes := make(map[string]bool)
	for _, f := range app.Flags {
		for _, name := range f.Names() {
			takes[name] = !isSwitch(f)
		}
	}
	for _, c := range app.Commands {
		for _, f := range c.Flags {
			for _, name := range f.Names() {
				if before, ok := takes[name]; ok && before == isSwitch(f) {
					t.Errorf("--%s takes a value in one command and none in another", name)
				}
				takes[name] = !isSwitch(f)
			}
		}
	}
}

func TestArgumentsAreCounted(t *testing.T) {
	for typed, want := range map[string]string{
		"pull":         "pull wants a REF",
		"push a":       "push wants a REF",
		"tag":          "tag wants a NAME",
		"tag a b c":    "tag takes 2 arguments, not 3",
		"path":         "path wants a NAME",
		"path a b c":   "path takes 2 arguments, not 3",
		"list a":       "list takes no arguments",
		"exec a":       "exec wants a CMD",
		"login":        "login wants a REGISTRY",
		"version now":  "version takes no arguments",
		"import":       "import wants a PATH",
		"import a":     "import wants --as NAME",
		"pull a --as=": "--as wants a value",
	} {
		p, _ := testApp()
		errs := new(strings.Builder)
		p.err.w = errs
		code := p.run(t.Context(), strings.Fields(typed))
		if first, _, _ := strings.Cut(errs.String(), "\n"); code != exitUsage || first != "mstore: "+want {
			t.Errorf("%s: exit %d, %q, want %q", typed, code, first, want)
		}
	}
}

// FuzzLine: whatever is typed, nothing panics, and of a line that is taken cli reads what the grammar read, with no
// argument lost, added or moved.
func FuzzLine(f *testing.F) {
	for _, seed := range []string{
		"pull\x00ref\x00--quiet", "--store\x00s\x00list", "exec\x00m\x00--\x00ls\x00-l", "rm\x00-\x00-5\x00--\x00--as",
		"--=\x00-=x\x00list", "show\x00a,b\x00--format=json", "help\x00pull", "-h", "pull\x00--jobs=3\x00r\x00--as\x00n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		_, app := testApp()
		words := strings.Split(typed, "\x00")
		l, err := newGrammar(app).parse(words)
		if err != nil {
			if exitCode(err) != exitUsage || l != nil {
				t.Errorf("%q: exit %d: %v", words, exitCode(err), err)
			}
			return
		}
		if l.help || l.version || l.command == nil {
			return
		}
		more, err := newGrammar(app).parse(append(slices.Clone(words), "--", "S", "--as", "-"))
		if err != nil || !slices.Equal(more.args[:len(l.args)], l.args) || !slices.Equal(more.args[len(more.args)-3:], []string{"S", "--as", "-"}) {
			t.Errorf("%q: what follows -- is not kept: %+v (%v)", words, more, err)
		}
		var got []string
		for _, c := range app.Commands {
			c.Action = func(c *cli.Context) error {
				got = append([]string{c.Command.Name}, c.Args().Slice()...)
				return nil
			}
		}
		if err := app.RunContext(t.Context(), l.argv("mstore")); err != nil {
			t.Fatalf("%q: cli does not take %q: %v", words, l.argv("mstore"), err)
		}
		if diff := cmp.Diff(append([]string{l.command.Name}, l.args...), got); diff != "" {
			t.Errorf("%q: %s", words, diff)
		}
	})
}
