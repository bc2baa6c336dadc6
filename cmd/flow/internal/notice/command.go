package notice

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"flow/engine"
)

// command starts a program, with the message as JSON on its standard input. What it leaves
// running ends with it.
func command(ctx context.Context, way *engine.NoticeWay, m *Message) error {
	body, err := json.Marshal(m)
	if err != nil {
		return err
	}
	name := way.Argv[0]
	if strings.ContainsRune(name, filepath.Separator) && !filepath.IsAbs(name) {
		name = filepath.Join(way.Dir, name)
	}
	cmd := exec.CommandContext(ctx, name, way.Argv[1:]...)
	cmd.Dir, cmd.Stdin = way.Dir, bytes.NewReader(append(body, '\n'))
	cmd.Env = append(os.Environ(), "FLOW_NOTICE_ID="+m.ID, "FLOW_NOTICE_TYPE="+m.Type, "FLOW_RUN_ID="+m.Run)
	said := &tail{}
	cmd.Stdout, cmd.Stderr = said, said
	cmd.WaitDelay = time.Second
	ownGroup(cmd)
	err = cmd.Run()
	if err == nil || errors.Is(err, exec.ErrWaitDelay) { // it was done, and left something running
		return nil
	}
	if text := oneLine(string(said.kept)); text != "" {
		return fmt.Errorf("%s: %w: %s", way.Argv[0], err, text)
	}
	return fmt.Errorf("%s: %w", way.Argv[0], err)
}

// A tail keeps the end of what is written to it.
type tail struct{ kept []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if more := len(t.kept) - shownBody; more > 0 {
		t.kept = t.kept[more:]
	}
	return len(p), nil
}
