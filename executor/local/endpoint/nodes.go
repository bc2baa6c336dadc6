package endpoint

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/batch/types"
)

// maxNodeGroups is how many ranges a multi-node job may have (Batch User Guide,
// multi-node-parallel-jobs).
const maxNodeGroups = 5

// A nodeRange is one of nodeRangeProperties.
type nodeRange struct {
	from, to int64 // both within
	p        *types.NodeRangeProperty
}

// checkNodes refuses nodeProperties that Batch would refuse. They are stored, but jobs
// of them do not run here.
func checkNodes(p *types.NodeProperties) error {
	n := int64(value(p.NumNodes))
	if n < 1 {
		return refuse("numNodes must be at least 1, got %d", n)
	}
	if main := int64(value(p.MainNode)); p.MainNode == nil || main < 0 || main >= n {
		return refuse("mainNode must be an index of a node, 0 to %d", n-1)
	}
	if len(p.NodeRangeProperties) < 1 || len(p.NodeRangeProperties) > maxNodeGroups {
		return refuse("Number of nodeRangeProperties should be between 1 and %d, got %d", maxNodeGroups, len(p.NodeRangeProperties))
	}
	var ranges []nodeRange
	for i := range p.NodeRangeProperties {
		r, err := readNodeRange(&p.NodeRangeProperties[i], n)
		if err != nil {
			return err
		}
		if err := r.check(); err != nil {
			return err
		}
		ranges = append(ranges, r)
	}
	if !cover(ranges, n, func(nodeRange) bool { return true }) {
		return refuse("targetNodes must account for all nodes (0:%d)", n-1)
	}
	return checkNodeResources(ranges, n)
}

// readNodeRange reads targetNodes: from:to, either of which may be left out.
func readNodeRange(p *types.NodeRangeProperty, n int64) (nodeRange, error) {
	r := nodeRange{0, n - 1, p}
	from, to, ok := strings.Cut(value(p.TargetNodes), ":")
	if !ok {
		to = from // a single node
	}
	var err1, err2 error
	if from != "" {
		r.from, err1 = strconv.ParseInt(from, 10, 32)
	}
	if to != "" {
		r.to, err2 = strconv.ParseInt(to, 10, 32)
	}
	if !given(p.TargetNodes) || err1 != nil || err2 != nil || r.from < 0 || r.from > r.to || r.to >= n {
		return r, refuse("targetNodes %q is not a range of nodes within 0:%d", value(p.TargetNodes), n-1)
	}
	return r, nil
}

func (r *nodeRange) check() error {
	kinds := 0
	for _, is := range []bool{r.p.Container != nil, r.p.EcsProperties != nil, r.p.EksProperties != nil} {
		if is {
			kinds++
		}
	}
	if kinds != 1 {
		return refuse("A node range should have exactly one of container, ecsProperties and eksProperties")
	}
	if len(r.p.InstanceTypes) > 1 {
		return refuse("instanceTypes of a node range is limited to one element")
	}
	if err := checkConsumables(r.p.ConsumableResourceProperties); err != nil {
		return err
	}
	if r.p.EksProperties != nil {
		return checkEks(r.p.EksProperties)
	}
	t, err := r.task()
	if err != nil {
		return err
	}
	t.node = true
	return t.check()
}

func (r *nodeRange) task() (*taskSpec, error) {
	if r.p.Container != nil {
		return containerTask(r.p.Container, false), nil
	}
	return ecsTask(r.p.EcsProperties, false)
}

// checkNodeResources checks that each node has vCPUs and memory from one of its ranges
// (ResourceRequirement).
func checkNodeResources(ranges []nodeRange, n int64) error {
	for _, kind := range []types.ResourceType{types.ResourceTypeVcpu, types.ResourceTypeMemory} {
		if !cover(ranges, n, func(r nodeRange) bool { return r.has(kind) }) {
			if kind == types.ResourceTypeVcpu {
				return refuse("vCPU is required.")
			}
			return refuse("Memory is required.")
		}
	}
	return nil
}

// has reports whether all containers of a range ask for that.
func (r *nodeRange) has(kind types.ResourceType) bool {
	if r.p.EksProperties != nil {
		return true // was checked
	}
	t, _ := r.task() // was checked
	for i := range t.containers {
		q, err := t.containers[i].requirements(&taskSpec{node: true})
		if err != nil || !q.has[kind] {
			return false
		}
	}
	return true
}

// cover reports whether the ranges that are wanted have all of n nodes.
func cover(ranges []nodeRange, n int64, wanted func(nodeRange) bool) bool {
	sorted := slices.SortedFunc(slices.Values(ranges), func(a, b nodeRange) int { return cmp.Compare(a.from, b.from) })
	next := int64(0) // all before it are covered
	for _, r := range sorted {
		if r.from <= next && wanted(r) {
			next = max(next, r.to+1)
		}
	}
	return next >= n
}
