package instances

import "flow/engine"

// Date is the day that the prices are of.
const Date = "2026-07-20"

// Region is where they hold. Other regions are dearer, by 10 to 30 per cent in most.
const Region = "us-east-1"

// Source says where the prices are from, for people.
const Source = "list prices on demand, Linux, " + Region + ", as the AWS Price List gave them on " + Date

// A FargateRate is what AWS Fargate asks for an hour.
type FargateRate struct{ VCPU, GB engine.Money }

// FargateDiskGB is the ephemeral storage that costs nothing, in GB.
const FargateDiskGB = 20

// FargateDisk is the price of an hour of each further GB of ephemeral storage.
const FargateDisk engine.Money = 111

// Fargate returns the rate of Fargate with Linux in us-east-1 (AWS Fargate Pricing). It is
// billed by the second, for a minute at least, from the pull of the image to the end of
// the task.
func Fargate(arch string) FargateRate {
	if arch == ARM {
		return FargateRate{VCPU: 32_380, GB: 3_560}
	}
	return FargateRate{VCPU: 40_480, GB: 4_445}
}
