package dsl

import (
	"fmt"
	"net/netip"
	"path"
	"strings"
)

// scheme returns "s3" of "s3://bucket/key", and "" of a path.
func scheme(s string) string {
	name, _, ok := strings.Cut(s, "://")
	if !ok || !schemePattern().MatchString(name) {
		return ""
	}
	return name
}

// schemePattern is what schemes of URIs look like (RFC 3986, 3.1).
var schemePattern = lazily(`^[A-Za-z][A-Za-z0-9+.-]*$`)

// Names of buckets (S3 User Guide, bucketnamingrules). Those made in us-east-1 before March
// 2018 may be longer, and have capitals and underscores; as work_dir they are not taken.
var (
	bucketPattern    = lazily(`^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$`)
	oldBucketPattern = lazily(`^[A-Za-z0-9._-]{3,255}$`)
)

// maxKey is how many bytes the key of an object has at most (S3 User Guide, object-keys), and
// maxWorkDirKey how many of them a work_dir may have: what flow puts behind it, the names of
// run, step, task and file, has to fit as well.
const (
	maxKey        = 1024
	maxWorkDirKey = 400
)

// CheckWorkDir returns a work_dir on S3 as it is used: without a slash at its end. A mistake
// in it is an error; what is no URI is left alone.
func CheckWorkDir(s string) (string, error) {
	switch scheme(s) {
	case "":
		if strings.HasPrefix(s, "s3:") {
			return "", fmt.Errorf("%q is no place for files: a work_dir on S3 is written s3://bucket/prefix", s)
		}
		return s, nil
	case "s3":
	default:
		return "", fmt.Errorf("%q is no place for files: name a directory, or s3://bucket/prefix", s)
	}
	s = strings.TrimRight(s, "/")
	bucket, key, _ := strings.Cut(strings.TrimPrefix(s, "s3://"), "/")
	switch {
	case s == "s3:" || bucket == "":
		return "", fmt.Errorf("this names no bucket: write s3://bucket/prefix")
	case !isBucket(bucket):
		return "", errBucket(bucket)
	case len(key) > maxWorkDirKey:
		return "", fmt.Errorf("the prefix in the bucket has %d bytes, and %d are the most: flow puts the names of runs, steps, tasks and files behind it, and S3 takes keys of %d bytes", len(key), maxWorkDirKey, maxKey)
	case strings.ContainsAny(key, "?#*[]\\") || hasControl(key):
		return "", fmt.Errorf("the prefix %q has characters that flow does not put files under: no ? # * [ ] \\ and no control characters", key)
	case key != "" && path.Clean("/"+key) != "/"+key:
		return "", fmt.Errorf("the prefix %q has empty parts, \".\" or \"..\", which S3 would take literally: write s3://%s%s", key, bucket, strings.TrimSuffix(path.Clean("/"+key), "/"))
	}
	return s, nil
}

// isBucket reports whether a bucket can have that name.
func isBucket(s string) bool {
	_, ip := netip.ParseAddr(s)
	return bucketPattern().MatchString(s) && !strings.Contains(s, "..") && ip != nil
}

func errBucket(name string) error {
	return fmt.Errorf("%q is no name of a bucket: 3 to 63 lower-case letters, digits, hyphens and single dots, with a letter or digit at both ends, and no IP address", name)
}

func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// checkInput says what is wrong with a path or URI as an input.
func checkInput(s string) error {
	switch name := scheme(s); name {
	case "":
		if strings.HasPrefix(s, "s3:") {
			return fmt.Errorf("%q is no URI: an object of S3 is written s3://bucket/key", s)
		}
		return nil
	case "s3":
		return checkObject(s)
	case "https":
		if host, _, _ := strings.Cut(s[len("https://"):], "/"); host == "" {
			return fmt.Errorf("%q names no server", s)
		}
		return nil
	case "http":
		return fmt.Errorf("%q goes over the network as plain text that anybody on the way may change: use https://, or fetch it in a step of its own", s)
	case "file":
		return fmt.Errorf("write a file of this machine as a path: %q", strings.TrimPrefix(s, "file://"))
	default:
		return fmt.Errorf("flow does not fetch %s://: an input is a path, an s3:// or an https:// URI; fetch others in a step of their own, with an output that is the input here", name)
	}
}

// checkObject says what is wrong with the URI of an object, a prefix or a pattern.
func checkObject(s string) error {
	bucket, key, slash := strings.Cut(strings.TrimPrefix(s, "s3://"), "/")
	switch {
	case bucket == "":
		return fmt.Errorf("%q names no bucket: write s3://bucket/key", s)
	case !isBucket(bucket) && !oldBucketPattern().MatchString(bucket):
		return errBucket(bucket)
	case !slash:
		return fmt.Errorf("%q names a bucket and nothing in it: write s3://%s/key, or s3://%[2]s/ for all that it has", s, bucket)
	case len(key) > maxKey:
		return fmt.Errorf("the key of %q has %d bytes, and S3 takes %d", s, len(key), maxKey)
	}
	return nil
}

// checkTarget says what is wrong with a path or URI as a place to publish to.
func checkTarget(s string) error {
	switch name := scheme(s); name {
	case "s3":
		if strings.HasSuffix(s, "/") { // a directory to publish into
			s += "x"
		}
		return checkObject(s)
	case "":
		if strings.HasPrefix(s, "s3:") {
			return fmt.Errorf("%q is no URI: a place on S3 is written s3://bucket/key", s)
		}
		return nil
	default:
		return fmt.Errorf("flow does not publish to %s://: name a path or an s3:// URI", name)
	}
}
