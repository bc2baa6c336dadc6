package agent

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"

	"flow/engine"
	"flow/executor/store"
)

// jobsDir is the directory, beside those of a run's steps, of its job files. No step has
// that name: names begin with a letter.
const jobsDir = ".jobs"

// JobPath returns where the job file of a job is: <work_dir>/<run>/.jobs/<name>.job.
// name is that of the job, see executor.JobName.
func JobPath(workDir string, run engine.RunID, name string) string {
	return strings.TrimRight(workDir, "/") + "/" + string(run) + "/" + jobsDir + "/" + name + ".job"
}

// A job file holds what the agents of a job's tasks have to know, for an array of 10,000
// as for one task: a header, what the tasks share, an index, and a record for each
// child, so that a child reads its own part and nothing else.
//
//	0   8 bytes   "flow-job"
//	8   uint32    version
//	12  uint32    number of children
//	16  uint32    bytes of the head
//	20  uint32    CRC-32C of the head
//	24  uint64    bytes of the whole file
//	32  uint32    CRC-32C of bytes 0 to 31
//	36            head: a jobHead in JSON
//	              index: for each child the offset of its record in the file (uint64), its
//	              bytes (uint32) and its CRC-32C (uint32)
//	              records: a jobRecord in JSON for each child
//
// Numbers are big-endian.
const (
	jobMagic   = "flow-job"
	jobVersion = 1
	jobHeader  = 36
	jobEntry   = 16

	// jobFirst is how much of a job file on S3 is read at once, up to the end of a child's
	// entry in the index if the head is no longer than that: the record is one request more.
	jobFirst = 64 << 10
)

// castagnoli is the table of CRC-32C.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sum32(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// A jobHead is what the tasks of a job share.
type jobHead struct {
	Run       engine.RunID     `json:"run"`
	Step      engine.StepName  `json:"step"`
	FanOut    bool             `json:"fan_out,omitempty"`
	WorkDir   string           `json:"work_dir"`
	Attempt   int              `json:"attempt"`
	Resources engine.Resources `json:"resources"`
	Task      *engine.TaskSpec `json:"task"`
}

// A jobRecord is what one child has of its own.
type jobRecord struct {
	Child int          `json:"child"`
	Index int          `json:"index"` // of the task in its step
	Key   string       `json:"key"`
	Item  *engine.Item `json:"item,omitempty"`
	// CacheKey is that of the task in hexadecimal digits; "": see Task.CacheKey.
	CacheKey string `json:"cache_key,omitempty"`
}

// WriteJob puts the job file of a job at a path or a URI, durably, with the directory it
// belongs in. Whoever reads it sees all of it or nothing, and one that is there is replaced.
// The values of secrets are not in it: a JobSpec has none.
func (f *Files) WriteJob(ctx context.Context, path string, spec *engine.JobSpec) error {
	if !store.Is(path) {
		return WriteJob(path, spec)
	}
	data, err := encodeJob(spec)
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", show(path), err)
	}
	s, err := f.open(ctx, path)
	if err != nil {
		return err
	}
	if _, err := s.Put(ctx, path, data); err != nil {
		return &Error{Msg: "cannot write the job file: " + err.Error(), Err: err}
	}
	return nil
}

// WriteJob is Files.WriteJob for a path on a local file system.
func WriteJob(path string, spec *engine.JobSpec) error {
	data, err := encodeJob(spec)
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", show(path), err)
	}
	dir := filepath.Dir(path)
	durable := []string{dir}
	if _, err := os.Stat(dir); err != nil { // likely nor is the run's there
		run := filepath.Dir(dir)
		durable = append(durable, run, filepath.Dir(run))
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return &Error{Msg: "cannot write the job file: " + Explain(err), Err: err}
		}
	}
	err = putFile(path, data)
	for i := 0; err == nil && i < len(durable); i++ {
		err = syncDir(durable[i])
	}
	if err != nil {
		return &Error{Msg: "cannot write the job file: " + Explain(err), Err: err}
	}
	return nil
}

// putFile writes a file durably by way of a temporary one that nobody else writes.
func putFile(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Chmod(0o644) // containers may run as another user
	}
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// encodeJob returns the content of a job file.
func encodeJob(spec *engine.JobSpec) ([]byte, error) {
	size := spec.Size()
	switch {
	case spec.Task == nil:
		return nil, errors.New("the job has no task to run")
	case spec.Tasks.Len() != size, spec.Keys != nil && len(spec.Keys) != size, spec.Items != nil && len(spec.Items) != size:
		return nil, fmt.Errorf("the job has %d children, %d tasks, %d keys and %d items", size, spec.Tasks.Len(), len(spec.Keys), len(spec.Items))
	}
	head, err := marshal(&jobHead{
		Run: spec.Run, Step: spec.Step, FanOut: spec.FanOut, WorkDir: spec.WorkDir,
		Attempt: max(spec.Attempt, 1), Resources: spec.Resources, Task: spec.Task,
	})
	if err != nil {
		return nil, err
	}
	first := jobHeader + len(head) + size*jobEntry
	index := make([]byte, 0, size*jobEntry)
	var records bytes.Buffer
	child := 0
	for i := range spec.Tasks.All() {
		record, err := marshal(&jobRecord{Child: child, Index: i, Key: spec.Key(child), Item: spec.Item(child), CacheKey: cacheKeyText(spec, child)})
		if err != nil {
			return nil, err
		}
		index = binary.BigEndian.AppendUint64(index, uint64(first+records.Len()))
		index = binary.BigEndian.AppendUint32(index, uint32(len(record)))
		index = binary.BigEndian.AppendUint32(index, sum32(record))
		records.Write(record)
		child++
	}
	if int64(len(head)) > math.MaxUint32 {
		return nil, errors.New("the job is too large")
	}
	data := make([]byte, 0, first+records.Len())
	data = append(data, jobMagic...)
	data = binary.BigEndian.AppendUint32(data, jobVersion)
	data = binary.BigEndian.AppendUint32(data, uint32(size))
	data = binary.BigEndian.AppendUint32(data, uint32(len(head)))
	data = binary.BigEndian.AppendUint32(data, sum32(head))
	data = binary.BigEndian.AppendUint64(data, uint64(first+records.Len()))
	data = binary.BigEndian.AppendUint32(data, sum32(data))
	data = append(data, head...)
	data = append(data, index...)
	return append(data, records.Bytes()...), nil
}

// cacheKeyText returns the cache key of a child as a record has it.
func cacheKeyText(spec *engine.JobSpec, child int) string {
	key := spec.CacheKey(child)
	if key == (engine.CacheKey{}) {
		return ""
	}
	return hex.EncodeToString(key[:])
}

// A Job is what the agent of one child of a job, or of a plain job, has to do.
type Job struct {
	Run       engine.RunID
	Step      engine.StepName
	Key       string
	Index     int // of the task in its step
	Dir       string
	WorkDir   string
	Attempt   int              // of the task, in the first attempt of the job, from 1
	Spec      *engine.TaskSpec // of this very task
	Resources engine.Resources // what the job asked for
	CacheKey  engine.CacheKey  // of the task, see Task
}

// Task returns the attempt of the task that attempt batchAttempt (from 1,
// AWS_BATCH_JOB_ATTEMPT) of the job is.
func (j *Job) Task(batchAttempt int) *Task {
	return &Task{
		Run: j.Run, Step: j.Step, Key: j.Key, Attempt: j.Attempt + batchAttempt - 1,
		Spec: j.Spec, Dir: j.Dir, CacheKey: j.CacheKey,
	}
}

// ReadJob reads from a job file, at a path or a URI, what one child (from 0; 0 of a plain
// job) needs, and no more of it. A file that is torn, of another version or of another run is
// an error, which names it; one that is not there is fs.ErrNotExist.
func (f *Files) ReadJob(ctx context.Context, path string, child int) (*Job, error) {
	if !store.Is(path) {
		return ReadJob(path, child)
	}
	s, err := f.open(ctx, path)
	if err != nil {
		return nil, err
	}
	r, err := openObject(ctx, s, path, jobFirst+int64(max(child, 0)+1)*jobEntry)
	if err != nil {
		return nil, err
	}
	return readJob(path, r, r.size, child)
}

// ReadJob is Files.ReadJob for a path on a local file system.
func ReadJob(path string, child int) (*Job, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return readJob(path, f, info.Size(), child)
}

// readJob reads a job file of size bytes.
func readJob(path string, r io.ReaderAt, size int64, child int) (*Job, error) {
	head, record, err := decodeJob(r, size, child)
	if err != nil {
		return nil, fmt.Errorf("%s %w", show(path), err)
	}
	job, err := newJob(head, record)
	if err != nil {
		return nil, fmt.Errorf("%s %w", show(path), err)
	}
	if want := JobPath(head.WorkDir, head.Run, ""); dirOf(path) != dirOf(want) {
		return nil, fmt.Errorf("%s belongs into %s", show(path), show(dirOf(want)))
	}
	return job, nil
}

// dirOf returns the directory that a file is in, or the URI without its last element.
func dirOf(path string) string {
	if store.Is(path) {
		return path[:strings.LastIndex(path, "/")]
	}
	return filepath.Dir(filepath.Clean(path))
}

// newJob makes of what was read a job whose directory is where it says.
func newJob(head *jobHead, record *jobRecord) (*Job, error) {
	run, step := string(head.Run), string(head.Step)
	var key engine.CacheKey
	n, err := hex.Decode(key[:], []byte(record.CacheKey[:min(len(record.CacheKey), 2*len(key))]))
	switch {
	case head.Task == nil || head.Attempt < 1 || record.Index < 0:
		return nil, errors.New("has no task")
	case !filepath.IsAbs(head.WorkDir) && !store.Is(head.WorkDir):
		return nil, fmt.Errorf("says work_dir %s, which is not an absolute path", show(head.WorkDir))
	case !isElement(run) || !isElement(step):
		return nil, fmt.Errorf("is for step %q of run %q, and these are no names", step, run)
	case err != nil || n != 0 && n != len(key):
		return nil, fmt.Errorf("says cache key %q, which is none", record.CacheKey)
	}
	return &Job{
		Run: head.Run, Step: head.Step, Key: record.Key, Index: record.Index,
		Dir:     engine.TaskDir(head.WorkDir, head.Run, head.Step, engine.KeyDir(head.FanOut, record.Key)),
		WorkDir: head.WorkDir, Attempt: head.Attempt, Spec: head.Task.With(record.Item), Resources: head.Resources,
		CacheKey: key,
	}, nil
}

// isElement reports whether s is one element of a path, and the name of nothing else.
func isElement(s string) bool {
	return s != "" && s[0] != '.' && !strings.ContainsAny(s, "/\x00")
}

// errTorn says that a job file is not as it was written.
var errTorn = errors.New("is no whole job file: it was cut or changed")

// decodeJob reads the head and the record of one child from a job file of size bytes.
func decodeJob(r io.ReaderAt, size int64, child int) (*jobHead, *jobRecord, error) {
	header := make([]byte, jobHeader)
	if _, err := r.ReadAt(header, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, nil, err
	}
	if string(header[:len(jobMagic)]) != jobMagic {
		return nil, nil, errors.New("is no job file of flow")
	}
	if v := binary.BigEndian.Uint32(header[8:]); v != jobVersion {
		return nil, nil, fmt.Errorf("has version %d, and this flow knows %d: the agent must be of the same release as the flow that submitted the job", v, jobVersion)
	}
	children := int64(binary.BigEndian.Uint32(header[12:]))
	index := jobHeader + int64(binary.BigEndian.Uint32(header[16:]))
	first := index + children*jobEntry
	if sum32(header[:32]) != binary.BigEndian.Uint32(header[32:]) || binary.BigEndian.Uint64(header[24:]) != uint64(size) || first > size {
		return nil, nil, errTorn
	}
	if child < 0 || int64(child) >= children {
		return nil, nil, fmt.Errorf("has no child %d: there are %d", child, children)
	}
	var head jobHead
	if err := readPart(r, jobHeader, index-jobHeader, binary.BigEndian.Uint32(header[20:]), &head); err != nil {
		return nil, nil, err
	}
	entry := make([]byte, jobEntry)
	if _, err := r.ReadAt(entry, index+int64(child)*jobEntry); err != nil {
		return nil, nil, torn(err)
	}
	at, n := binary.BigEndian.Uint64(entry), int64(binary.BigEndian.Uint32(entry[8:]))
	if at < uint64(first) || at > uint64(size) || n > size-int64(at) {
		return nil, nil, errTorn
	}
	var record jobRecord
	if err := readPart(r, int64(at), n, binary.BigEndian.Uint32(entry[12:]), &record); err != nil {
		return nil, nil, err
	}
	if record.Child != child {
		return nil, nil, errTorn
	}
	return &head, &record, nil
}

// readPart reads n bytes of JSON with that sum. They are known to be in the file.
func readPart(r io.ReaderAt, at, n int64, sum uint32, v any) error {
	b := make([]byte, n)
	if _, err := r.ReadAt(b, at); err != nil {
		return torn(err)
	}
	if sum32(b) != sum || json.Unmarshal(b, v) != nil {
		return errTorn
	}
	return nil
}

// torn is what the end of a file means where there should be more of it.
func torn(err error) error {
	if errors.Is(err, io.EOF) {
		return errTorn
	}
	return err
}
