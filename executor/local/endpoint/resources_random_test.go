package endpoint

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
)

// Requests that are fine but for some members, which are any values whatever: as
// FuzzResources, but deeper in.
func TestRandomResources(t *testing.T) {
	rounds := 4000
	if testing.Short() {
		rounds = 400
	}
	accepted := map[string]int{}
	calls := fineCalls(t)
	for seed := range rounds {
		r := rand.New(rand.NewPCG(uint64(seed), 1))
		one, two := smallWorld(t), smallWorld(t)
		for range 5 {
			call := calls[r.IntN(len(calls))]
			op := operations[call.op]
			in, err := op.decode([]byte(call.body))
			if err != nil {
				t.Fatal(err)
			}
			mutate(r, reflect.ValueOf(in).Elem())
			body, err := json.Marshal(in)
			if err != nil {
				t.Fatal(err)
			}
			got, again := fuzzed(t, one, op.name, string(body)), fuzzed(t, two, op.name, string(body))
			if got != again {
				t.Errorf("seed %d: %s %s: %s, run again %s", seed, op.name, body, got, again)
			}
			if json.Valid([]byte(got)) {
				accepted[op.name]++
			}
			one.wait(settle)
			two.wait(settle)
		}
		for _, op := range []string{"DescribeComputeEnvironments", "DescribeJobQueues", "DescribeJobDefinitions", "ListSchedulingPolicies", "ListConsumableResources"} {
			one.do(op, ``)
		}
	}
	for _, op := range resourceOperations {
		if accepted[op.name] == 0 && !testing.Short() {
			t.Errorf("no random %s is accepted", op.name)
		}
	}
}

var (
	someTexts = []string{
		"", "a", "q", "p", "d", "lic", "x", "1", "4", "128", "0.25", "512", "4Mi", "cpu", "memory", "0:", "0:3", "*", "START", "SUCCESS", "SET", "ADD", "REMOVE",
		"ACTIVE", "REPLENISHABLE", "CONSUMABLE_RESOURCE_NAME", "JOB_STATUS", "JOB_NAME", "RUNNING", "nofile", "/x", "m5", "m6g.large", "optimal", "ECS_AL2023",
		"CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY", "arn:aws:batch:us-east-1:012345678910:compute-environment/a", "arn:aws:batch:us-east-1:012345678910:job-queue/q",
		policyARN + "p", consumableARN + "lic", "arn:aws:batch:us-east-1:012345678910:job-definition/d:1", "d:1", "YQ==", "MQ==", "ü\x00", "LINUX", "LATEST", "1.4.0",
	}
	someNumbers = []int64{-1, 0, 1, 2, 4, 21, 60, 100, 600, 9999, math.MaxInt32, math.MaxInt64, math.MinInt64}
)

// mutate changes some of a request.
func mutate(r *rand.Rand, v reflect.Value) {
	if v.CanSet() && r.IntN(30) == 0 {
		v.SetZero()
		randomize(r, v, 1)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			mutate(r, v.Elem())
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				mutate(r, v.Field(i))
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			mutate(r, v.Index(i))
		}
	}
}

// randomize fills a request with any values; members are left out more often the deeper
// they are.
func randomize(r *rand.Rand, v reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Pointer:
		if r.IntN(4+depth) < 3 {
			v.Set(reflect.New(v.Type().Elem()))
			randomize(r, v.Elem(), depth)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				randomize(r, v.Field(i), depth+1)
			}
		}
	case reflect.Slice:
		if n := r.IntN(5) - 1; n >= 0 && r.IntN(2+depth) < 2 {
			v.Set(reflect.MakeSlice(v.Type(), n, n))
			for i := range n {
				randomize(r, v.Index(i), depth)
			}
		}
	case reflect.Map:
		if n := r.IntN(4) - 1; n >= 0 {
			v.Set(reflect.MakeMap(v.Type()))
			for range n {
				key, to := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
				randomize(r, key, depth)
				randomize(r, to, depth)
				v.SetMapIndex(key, to)
			}
		}
	case reflect.String:
		if values := valuesOf(v.Type()); values != nil && r.IntN(20) > 0 {
			v.SetString(values[r.IntN(len(values))])
			return
		}
		v.SetString(someTexts[r.IntN(len(someTexts))])
	case reflect.Bool:
		v.SetBool(r.IntN(2) == 0)
	case reflect.Int32:
		v.SetInt(int64(int32(someNumbers[r.IntN(len(someNumbers))])))
	case reflect.Int64:
		v.SetInt(someNumbers[r.IntN(len(someNumbers))])
	case reflect.Float32, reflect.Float64:
		v.SetFloat([]float64{-1, 0, 0.0001, 1, 1000, 1e30}[r.IntN(6)])
	}
}
