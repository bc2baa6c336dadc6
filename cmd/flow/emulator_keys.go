package main

import (
	"bufio"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"flow/executor/local/endpoint"
)

// loadCredentials reads the file of -credentials, which has the format of AWS's shared
// credentials, and makes it if it is not there: clients can be given the same file.
func (f *emulateFlags) loadCredentials() (*endpoint.Credentials, error) {
	if f.credentials == "" {
		return nil, nil
	}
	file, err := os.Open(f.credentials)
	if errors.Is(err, fs.ErrNotExist) {
		return makeCredentials(f.credentials)
	}
	if err != nil {
		return nil, fmt.Errorf("-credentials: %w", err)
	}
	defer file.Close()
	c := &endpoint.Credentials{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		key, value, _ := strings.Cut(lines.Text(), "=")
		switch strings.TrimSpace(key) {
		case "aws_access_key_id":
			c.AccessKeyID = strings.TrimSpace(value)
		case "aws_secret_access_key":
			c.SecretAccessKey = strings.TrimSpace(value)
		}
	}
	if c.AccessKeyID == "" || c.SecretAccessKey == "" {
		return nil, fmt.Errorf("-credentials %s: it has no aws_access_key_id and aws_secret_access_key", f.credentials)
	}
	return c, nil
}

func makeCredentials(path string) (*endpoint.Credentials, error) {
	c := &endpoint.Credentials{AccessKeyID: "FLOW" + rand.Text()[:16], SecretAccessKey: rand.Text() + rand.Text()}
	text := fmt.Sprintf("[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", c.AccessKeyID, c.SecretAccessKey)
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, fmt.Errorf("-credentials: %w", err)
	}
	_, err = file.WriteString(text)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, fmt.Errorf("-credentials: %w", err)
	}
	return c, nil
}
