package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"flow/engine"
	"flow/executor/executortest/fetched"
)

// A vandal damages what is in the work_dir flow of the bucket lab: through S3, as a mistake
// would, and behind its back, as a bad disk.
type vandal struct {
	client *s3.Client
	dir    string // where the server has it
}

func newVandal(server *fetched.S3Server) *vandal {
	return &vandal{dir: filepath.Join(server.Dir, "lab", "flow"), client: s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: &server.URL, Credentials: keys(server.Key, server.Secret), UsePathStyle: true,
	})}
}

// put makes an object; fresh: unless it is there.
func (v *vandal) put(rel string, data []byte, fresh bool) error {
	in := &s3.PutObjectInput{Bucket: aws.String("lab"), Key: aws.String("flow/" + rel), Body: bytes.NewReader(data)}
	if fresh {
		in.IfNoneMatch = aws.String("*")
	}
	_, err := v.client.PutObject(context.Background(), in)
	return err
}

func (v *vandal) remove(rel string) error {
	_, err := v.client.DeleteObject(context.Background(), &s3.DeleteObjectInput{Bucket: aws.String("lab"), Key: aws.String("flow/" + rel)})
	return err
}

func (v *vandal) read(rel string) []byte {
	data, _ := os.ReadFile(filepath.Join(v.dir, rel))
	return data
}

// find returns the paths below dir that match a pattern there.
func (v *vandal) find(pattern string) []string {
	found, _ := filepath.Glob(filepath.Join(v.dir, pattern))
	for i := range found {
		found[i] = strings.TrimPrefix(found[i], v.dir+"/")
	}
	return found
}

// bury leaves at an attempt of a dead agent what an agent might have left there, or a worse
// one: none of it makes a result.
func (v *vandal) bury(run string, job engine.JobID, random *rand.Rand) string {
	for _, claim := range v.find(run + "/*/*/*.claim") {
		attempt := strings.TrimSuffix(claim, ".claim")
		if string(v.read(claim)) != string(job)+"\n" || v.there(attempt+".json") {
			continue
		}
		others := v.find(run + "/*/*/*.json")
		var other []byte
		if len(others) > 0 {
			other = v.read(others[random.IntN(len(others))])
		}
		switch what := random.IntN(5); {
		case what == 0 && len(other) > 0:
			_ = v.put(attempt+".json", other[:random.IntN(len(other))], true)
			return "part of a manifest"
		case what == 1 && len(other) > 0:
			_ = v.put(attempt+".json", other, true)
			return "manifest of another task"
		case what == 2:
			_ = v.put(path.Dir(attempt)+"/result", []byte(path.Base(attempt)+"\n"), true)
			return "result without a manifest"
		case what == 3:
			_ = v.put(attempt+"/out", []byte("half a l"), false)
			return "part of an output"
		}
		return "nothing"
	}
	return "nothing"
}

func (v *vandal) there(rel string) bool {
	_, err := os.Lstat(filepath.Join(v.dir, rel))
	return err == nil
}

// damage damages a result of a run that others read: its object, manifest or number. It says
// how, and which object it is; "" if there is no result.
func (v *vandal) damage(run string, random *rand.Rand) (how, uri string) {
	manifests := append(v.find(run+"/make/*/*.json"), v.find(run+"/turn/*/*.json")...)
	if len(manifests) == 0 {
		return "", ""
	}
	manifest := manifests[random.IntN(len(manifests))]
	out := strings.TrimSuffix(manifest, ".json") + "/out"
	data := v.read(out)
	if len(data) == 0 {
		return "", ""
	}
	at := random.IntN(len(data))
	changed := bytes.Clone(data)
	changed[at] ^= 1
	file := filepath.Join(v.dir, out)
	var err error
	switch random.IntN(7) {
	case 0:
		how, err = "cut", v.put(out, data[:at], false)
	case 1:
		how, err = "changed", v.put(out, changed, false)
	case 2:
		how, err = "removed", v.remove(out)
	case 3:
		how, err = "cut on the disk", os.Truncate(file, int64(at))
	case 4:
		how, err = "changed on the disk", overwrite(file, changed[at:at+1], int64(at))
	case 5:
		text := v.read(manifest)
		how, err = "manifest cut", v.put(manifest, text[:random.IntN(len(text))], false)
	case 6:
		how, err = "result emptied", v.put(path.Dir(manifest)+"/result", nil, false)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Sprint(err), out
	}
	return how, path.Dir(manifest)
}

// overwrite changes bytes of a file, whose time of modification stays.
func overwrite(file string, data []byte, at int64) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, at)
	return errors.Join(err, f.Close(), os.Chtimes(file, time.Time{}, info.ModTime()))
}
