//go:build !linux

package agent

import "errors"

// syncFS is not to be had: the files are made durable one by one.
func syncFS(string) error { return errors.ErrUnsupported }

// exchange is not to be had: what is replaced is moved aside first.
func exchange(string, string) error { return errors.ErrUnsupported }
