// Package registry looks at container images where they are kept, and puts them there
// without a Docker daemon: in Amazon ECR, and in every registry that speaks the protocol of
// the Open Container Initiative.
package registry
