package endpoint

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/batch/types"

	"flow/executor"
)

// checkEks refuses eksProperties that Batch would refuse. They are stored, but jobs of
// them do not run here.
func checkEks(p *types.EksProperties) error {
	pod := p.PodProperties
	if pod == nil {
		return refuse("eksProperties need podProperties")
	}
	if n := len(pod.Containers); n < 1 || n > maxContainers {
		return refuse("Number of containers should be between 1 and %d, got %d", maxContainers, n)
	}
	if n := len(pod.InitContainers); n > maxContainers {
		return refuse("Number of initContainers should be at most %d, got %d", maxContainers, n)
	}
	policies := []string{"Default", "ClusterFirst", "ClusterFirstWithHostNet"}
	if given(pod.DnsPolicy) && !slices.Contains(policies, *pod.DnsPolicy) {
		return refuse("dnsPolicy supports only one from [%s]", strings.Join(policies, ", "))
	}
	if err := checkEksVolumes(pod.Volumes); err != nil {
		return err
	}
	seen := map[string]bool{}
	for i, c := range slices.Concat(pod.Containers, pod.InitContainers) {
		if name := value(c.Name); name != "" && seen[name] {
			return refuse("Container names must be unique")
		}
		seen[value(c.Name)] = true
		if err := checkEksContainer(&c, pod, i < len(pod.Containers)); err != nil {
			return err
		}
	}
	return nil
}

// checkEksContainer checks a container of a pod, or an init container.
func checkEksContainer(c *types.EksContainer, pod *types.EksPodProperties, main bool) error {
	if !given(c.Image) {
		return refuse("Container image is required.")
	}
	policies := []string{"Always", "IfNotPresent", "Never"}
	if given(c.ImagePullPolicy) && !slices.Contains(policies, *c.ImagePullPolicy) {
		return refuse("imagePullPolicy supports only one from [%s]", strings.Join(policies, ", "))
	}
	for i := range c.Env {
		if err := checkVariable(c.Env[i].Name); err != nil {
			return err
		}
	}
	for _, m := range c.VolumeMounts {
		if !slices.ContainsFunc(pod.Volumes, func(v types.EksVolume) bool { return value(v.Name) == value(m.Name) }) {
			return refuse("Unknown volume '%s' in volumeMounts.", value(m.Name))
		}
	}
	return checkEksResources(c.Resources, main)
}

func checkEksVolumes(volumes []types.EksVolume) error {
	seen := map[string]bool{}
	for i := range volumes {
		v := &volumes[i]
		if !given(v.Name) || seen[*v.Name] {
			return refuse("Volume names are required and must be unique, got %q", value(v.Name))
		}
		seen[*v.Name] = true
		kinds := 0
		for _, is := range []bool{v.EmptyDir != nil, v.HostPath != nil, v.PersistentVolumeClaim != nil, v.Secret != nil} {
			if is {
				kinds++
			}
		}
		if kinds != 1 {
			return refuse("Volume %s should have exactly one of emptyDir, hostPath, persistentVolumeClaim and secret", *v.Name)
		}
	}
	return nil
}

// checkEksResources checks limits and requests (EksContainerResourceRequirements).
// Containers other than init containers need both cpu and memory.
func checkEksResources(r *types.EksContainerResourceRequirements, main bool) error {
	if r == nil {
		r = &types.EksContainerResourceRequirements{}
	}
	for _, m := range []map[string]string{r.Limits, r.Requests} {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if _, err := eksQuantity(name, m[name]); err != nil {
				return err
			}
		}
	}
	for _, name := range []string{"cpu", "memory", "nvidia.com/gpu"} {
		limit, limited := r.Limits[name]
		request, requested := r.Requests[name]
		if main && !limited && !requested && name != "nvidia.com/gpu" {
			return refuse("%s is required in limits or requests of a container", name)
		}
		if !limited || !requested {
			continue
		}
		l, _ := eksQuantity(name, limit) // were read above
		q, _ := eksQuantity(name, request)
		if name == "cpu" && l < q || name != "cpu" && l != q {
			return refuse("%s in limits does not go with %s in requests: %s and %s", name, name, limit, request)
		}
	}
	return nil
}

// eksQuantity reads the quantity of a resource: MiB, vCPUs or GPUs.
func eksQuantity(name, text string) (float64, error) {
	switch name {
	case "memory":
		mib, ok := strings.CutSuffix(text, "Mi")
		n, err := strconv.ParseInt(mib, 10, 32)
		if !ok || err != nil {
			return 0, refuse("Value %s for memory is not valid. Please provide a whole number of MiB with the suffix Mi.", text)
		}
		if n < executor.MinMemoryMiB {
			return 0, refuse("Memory must be at least %d Mib, got %d Mib.", executor.MinMemoryMiB, n)
		}
		return float64(n), nil
	case "cpu":
		v, ok := decimal(text)
		if !ok || v == 0 || v*4 != float64(int(v*4)) {
			return 0, refuse("Value %s for cpu is not valid. Please provide a multiple of 0.25.", text)
		}
		return v, nil
	case "nvidia.com/gpu":
		n, err := strconv.ParseInt(text, 10, 32)
		if err != nil || n < 0 {
			return 0, refuse("Value %s for nvidia.com/gpu is not valid. Please provide a numeric value.", text)
		}
		return float64(n), nil
	default:
		return 0, refuse("Resource %s is not valid, it is one of [cpu, memory, nvidia.com/gpu]", name)
	}
}
