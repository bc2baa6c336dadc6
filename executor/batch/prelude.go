package batch

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"flow/engine"
)

// prelude is what /bin/sh runs in front of the command of a plain job, given as "$@": it
// says which task this is, of what all children have in common and of Batch's variables.
//
//	FLOW_MAP         indices of the tasks by child, such as "0-99,105,"; absent: a job of one task
//	FLOW_ITEMS       lines: of each child its key, and then one for each name
//	FLOW_ITEM_SIZE   how many lines a child has
//	FLOW_ITEM_NAMES  such as "A,B,"; a line of theirs is "=" and the value, or empty: not set
//	FLOW_ATTEMPT     of the first attempt of the job
//
// It is constant, so that no value is ever part of a program, and uses parameter expansion
// and nothing else: no program, no file, no eval. It runs in dash, in the ash of busybox
// and in bash, on a read-only root. Its own variables begin with FLOW_, which no user's
// may, and are gone when the command starts.
const prelude = `FLOW_L='
'
FLOW_N=${AWS_BATCH_JOB_ARRAY_INDEX:-0}
FLOW_ATTEMPT=$((FLOW_ATTEMPT+${AWS_BATCH_JOB_ATTEMPT:-1}-1))
export FLOW_ATTEMPT
if [ "$FLOW_MAP" ];then
FLOW_K=$FLOW_N
while [ "$FLOW_MAP" ];do
FLOW_V=${FLOW_MAP%%,*}
FLOW_MAP=${FLOW_MAP#*,}
FLOW_A=${FLOW_V%-*}
FLOW_B=${FLOW_V#*-}
if [ "$FLOW_K" -le "$((FLOW_B-FLOW_A))" ];then FLOW_INDEX=$((FLOW_A+FLOW_K));break;fi
FLOW_K=$((FLOW_K-(FLOW_B-FLOW_A)-1))
done
FLOW_KEY=$FLOW_INDEX
if [ "$FLOW_ITEM_SIZE" ];then
FLOW_K=$((FLOW_N*FLOW_ITEM_SIZE))
while [ "$FLOW_K" -gt 0 ];do
FLOW_ITEMS=${FLOW_ITEMS#*"$FLOW_L"}
FLOW_K=$((FLOW_K-1))
done
FLOW_KEY=${FLOW_ITEMS%%"$FLOW_L"*}
while [ "$FLOW_ITEM_NAMES" ];do
FLOW_ITEMS=${FLOW_ITEMS#*"$FLOW_L"}
FLOW_V=${FLOW_ITEMS%%"$FLOW_L"*}
[ "$FLOW_V" ]&&export "${FLOW_ITEM_NAMES%%,*}=${FLOW_V#=}"
FLOW_ITEM_NAMES=${FLOW_ITEM_NAMES#*,}
done
fi
export FLOW_INDEX FLOW_KEY
fi
unset FLOW_MAP FLOW_ITEMS FLOW_ITEM_SIZE FLOW_ITEM_NAMES FLOW_L FLOW_N FLOW_K FLOW_V FLOW_A FLOW_B
exec "$@"`

// preluded puts the prelude in front of a command.
func preluded(command []string) []string {
	return append([]string{"/bin/sh", "-c", prelude, "sh"}, command...)
}

// itemEnviron returns the variables from which the prelude finds out which task a child of
// an array is, or why it cannot.
func itemEnviron(spec *engine.JobSpec) (map[string]string, string) {
	env := map[string]string{"FLOW_MAP": indexMap(spec.Tasks)}
	names, why := itemNames(spec)
	if why != "" {
		return nil, why
	}
	if spec.Keys == nil && len(names) == 0 {
		return env, ""
	}
	var b strings.Builder
	for i := range spec.Size() {
		if !plainLine(spec.Key(i)) {
			return nil, "the key " + strconv.Quote(spec.Key(i)) + " is not one line of text"
		}
		b.WriteString(spec.Key(i))
		b.WriteByte('\n')
		it := spec.Item(i)
		for _, name := range names {
			if it != nil {
				if v, ok := it.Env[name]; ok {
					if !plainLine(v) {
						return nil, "the value of " + name + " of an item is not one line of text"
					}
					b.WriteByte('=')
					b.WriteString(v)
				}
			}
			b.WriteByte('\n')
		}
		if b.Len() > maxPlain {
			return nil, "what its items have of their own is too long for the environment of a job"
		}
	}
	env["FLOW_ITEMS"], env["FLOW_ITEM_SIZE"] = b.String(), strconv.Itoa(1+len(names))
	if len(names) > 0 {
		env["FLOW_ITEM_NAMES"] = strings.Join(names, ",") + ","
	}
	return env, ""
}

// itemNames returns the variables that differ between children, sorted, or why these
// children differ in more than variables.
func itemNames(spec *engine.JobSpec) ([]string, string) {
	names := map[string]bool{}
	for _, it := range spec.Items {
		switch {
		case it == nil:
			continue
		case it.Command != nil || it.Script != nil:
			return nil, "its items differ in what they run"
		case len(it.Inputs) > 0 || len(it.Outputs) > 0:
			return nil, "its items have inputs or outputs"
		}
		for name := range it.Env {
			if !isName(name) {
				return nil, "a shell cannot set the variable " + strconv.Quote(name)
			}
			names[name] = true
		}
	}
	return slices.Sorted(maps.Keys(names)), ""
}

// indexMap writes ranges for the prelude: "0-99,105,".
func indexMap(r engine.Ranges) string {
	var b strings.Builder
	for _, x := range r {
		b.WriteString(strconv.Itoa(x.From))
		if x.To != x.From {
			b.WriteString("-" + strconv.Itoa(x.To))
		}
		b.WriteByte(',')
	}
	return b.String()
}

func plainLine(s string) bool { return !strings.ContainsAny(s, "\n\x00") && utf8.ValidString(s) }

// isName reports whether a shell can set a variable of that name (POSIX, 3.235 Name).
func isName(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}
