#!/usr/bin/env bash
# walk.sh ENDPOINT [AWS-CLI [PREFIX]]: what one does with AWS Batch, with the AWS CLI against
# ENDPOINT: an environment, a queue, definitions; plain jobs, arrays, dependencies; listing,
# describing, ending jobs, reading logs; and the way back, in the order that Batch wants.
# PREFIX begins the names of all that is made. Ends with 1 at the first answer that is not
# as expected.
set -euo pipefail
endpoint=$1 cli=${2:-aws} prefix=${3:-walk}

aws() { "$cli" --endpoint-url "$endpoint" --region us-east-1 "$@"; }

# text prints what --query selects, on one line.
text() { aws "$@" --output text | tr '\t\n' '  ' | sed 's/ *$//'; }

fail() {
  echo "walk.sh: line ${BASH_LINENO[1]}: $*" >&2
  exit 1
}

# is GOT PATTERN fails unless GOT, as a whole, matches the glob PATTERN.
is() {
  # shellcheck disable=SC2053 # a pattern
  [[ $1 == $2 ]] || fail "got '$1', expected '$2'"
}

# refused CODE TEXT COMMAND... fails unless the service refuses with that error.
refused() {
  local code=$1 what=$2 out
  shift 2
  if out=$(aws "$@" 2>&1); then fail "$* was accepted: $out"; fi
  is "$out" "*An error occurred ($code) when calling the * operation: *$what*"
}

# await PATTERN COMMAND... asks again until the answer matches; a minute at most.
await() {
  local want=$1 got end=$((SECONDS + 60))
  shift
  while got=$(text "$@") && [[ $got != $want ]]; do
    [ $SECONDS -lt $end ] || fail "$*: still '$got', expected '$want'"
  done
}

# ended JOB... waits until the jobs have ended, and prints their statuses in that order.
ended() {
  await '0' batch describe-jobs --jobs "$@" --query "length(jobs[?status!='SUCCEEDED' && status!='FAILED'])"
  local id query=''
  for id; do query+="${query:+,}jobs[?jobId=='$id'] | [0].status"; done
  text batch describe-jobs --jobs "$@" --query "[$query]"
}

# status JOB QUERY prints a part of what the service says of a job.
status() { text batch describe-jobs --jobs "$1" --query "jobs[0].$2"; }

# submit NAME OPTION... prints the id of the new job.
submit() {
  local name=$1
  shift
  text batch submit-job --job-name "$prefix-$name" --job-queue "$queue" "$@" --query jobId
}

# output JOB prints the log of a job's last attempt.
output() {
  text logs get-log-events --log-group-name /aws/batch/job --log-stream-name "$(status "$1" container.logStreamName)" \
    --start-from-head --query 'events[].message'
}

# list OPTION... prints the names of jobs without the prefix, in the order of the answer.
list() { text batch list-jobs "$@" --query 'jobSummaryList[].jobName' | sed "s/$prefix-//g"; }

echo 'a compute environment'
ce=$prefix-ce queue=$prefix-queue
is "$(text batch describe-compute-environments --compute-environments "$ce" --query 'computeEnvironments')" ''
is "$(text batch create-compute-environment --compute-environment-name "$ce" --type MANAGED --state ENABLED --compute-resources \
  type=EC2,minvCpus=0,maxvCpus=16,instanceTypes=optimal,subnets=subnet-220c0e0a,securityGroupIds=sg-cf5093b2,instanceRole=ecsInstanceRole \
  --query '[computeEnvironmentName,computeEnvironmentArn]')" "$ce arn:aws:batch:us-east-1:[0-9]*:compute-environment/$ce"
await 'VALID' batch describe-compute-environments --compute-environments "$ce" --query 'computeEnvironments[0].status'
is "$(text batch describe-compute-environments --compute-environments "$ce" \
  --query 'computeEnvironments[0].[state,type,statusReason,computeResources.maxvCpus,computeResources.instanceTypes[0]]')" \
  'ENABLED MANAGED ComputeEnvironment Healthy 16 optimal'
refused ClientException 'already exists' batch create-compute-environment --compute-environment-name "$ce" --type MANAGED --compute-resources \
  type=EC2,minvCpus=0,maxvCpus=16,instanceTypes=optimal,subnets=subnet-220c0e0a,securityGroupIds=sg-cf5093b2,instanceRole=ecsInstanceRole

echo 'a queue'
refused ClientException "compute-environment/$prefix-none" batch create-job-queue --job-queue-name "$queue" --priority 1 \
  --compute-environment-order order=1,computeEnvironment="$prefix-none"
is "$(text batch create-job-queue --job-queue-name "$queue" --priority 1 --compute-environment-order order=1,computeEnvironment="$ce" \
  --query '[jobQueueName,jobQueueArn]')" "$queue arn:aws:batch:us-east-1:[0-9]*:job-queue/$queue"
await 'VALID' batch describe-job-queues --job-queues "$queue" --query 'jobQueues[0].status'
is "$(text batch describe-job-queues --job-queues "$queue" \
  --query 'jobQueues[0].[state,statusReason,priority,computeEnvironmentOrder[0].computeEnvironment]')" \
  "ENABLED JobQueue Healthy 1 arn:aws:batch:us-east-1:[0-9]*:compute-environment/$ce"

echo 'definitions'
define() {
  text batch register-job-definition --job-definition-name "$prefix-$1" --type container --container-properties "$2" --query revision
}
is "$(define say '{"image":"busybox","command":["false"],"vcpus":1,"memory":64}')" 1
is "$(define say '{"image":"busybox","command":["sh","-c","echo $0; echo for $WHOM","Ref::what"],"environment":[{"name":"WHOM","value":"all"}],
  "resourceRequirements":[{"type":"VCPU","value":"1"},{"type":"MEMORY","value":"64"}]}')" 2
is "$(define index '{"image":"busybox","command":["sh","-c","echo $AWS_BATCH_JOB_ARRAY_INDEX of $AWS_BATCH_JOB_ARRAY_SIZE"],
  "resourceRequirements":[{"type":"VCPU","value":"1"},{"type":"MEMORY","value":"64"}]}')" 1
is "$(define fail '{"image":"busybox","command":["sh","-c","echo attempt $AWS_BATCH_JOB_ATTEMPT; exit 3"],
  "resourceRequirements":[{"type":"VCPU","value":"1"},{"type":"MEMORY","value":"64"}]}')" 1
is "$(define sleep '{"image":"busybox","command":["sleep","600"],
  "resourceRequirements":[{"type":"VCPU","value":"1"},{"type":"MEMORY","value":"64"}]}')" 1
is "$(text batch describe-job-definitions --job-definition-name "$prefix-say" --status ACTIVE \
  --query 'sort_by(jobDefinitions,&revision)[].[revision,status,type]')" '1 ACTIVE container 2 ACTIVE container'
aws batch deregister-job-definition --job-definition "$prefix-say:1"
is "$(text batch describe-job-definitions --job-definitions "$prefix-say:1" "$prefix-say:2" \
  --query 'sort_by(jobDefinitions,&revision)[].status')" 'INACTIVE ACTIVE'

echo 'a plain job'
refused ClientException 'No parameter found for reference what' batch submit-job --job-name x --job-queue "$queue" --job-definition "$prefix-say"
refused ClientException "JobQueue $prefix-none not found." batch submit-job --job-name x --job-queue "$prefix-none" --job-definition "$prefix-say"
refused ClientException 'does not exist or is not in ACTIVE status' batch submit-job --job-name x --job-queue "$queue" --job-definition "$prefix-say:1"
refused ClientException 'Job name should match valid pattern' batch submit-job --job-name a.b --job-queue "$queue" --job-definition "$prefix-fail"
plain=$(submit plain --job-definition "$prefix-say" --parameters what=hello --container-overrides 'environment=[{name=WHOM,value=you}]')
is "$(ended "$plain")" 'SUCCEEDED'
is "$(status "$plain" '[statusReason,container.exitCode,length(attempts),attempts[0].container.exitCode,attempts[0].statusReason]')" \
  'Essential container in task exited 0 1 0 Essential container in task exited'
is "$(status "$plain" '[container.command[3],container.environment[0].value,stoppedAt>=startedAt,startedAt>=createdAt,
  jobQueue,jobDefinition,container.logStreamName]')" \
  "hello you True True arn:aws:batch:*:job-queue/$queue arn:aws:batch:*:job-definition/$prefix-say:2 $prefix-say/default/[0-9a-f]*"
is "$(output "$plain")" 'hello for you'

echo 'an array of 5'
array=$(submit array --job-definition "$prefix-index" --array-properties size=5)
ntn=$(submit ntn --job-definition "$prefix-index" --array-properties size=5 --depends-on jobId="$array",type=N_TO_N)
seq=$(submit seq --job-definition "$prefix-index" --array-properties size=5 --depends-on type=SEQUENTIAL)
is "$(ended "$array" "$ntn" "$seq")" 'SUCCEEDED SUCCEEDED SUCCEEDED'
is "$(status "$array" 'arrayProperties.[size,statusSummary.SUCCEEDED,statusSummary.FAILED,statusSummary.RUNNING]')" '5 5 0 0'
is "$(text batch list-jobs --array-job-id "$array" --query 'jobSummaryList')" '' # RUNNING only
is "$(text batch list-jobs --array-job-id "$array" --job-status SUCCEEDED --query 'sort(jobSummaryList[].to_string(arrayProperties.index))')" '0 1 2 3 4'
is "$(text batch list-jobs --array-job-id "$array" --job-status SUCCEEDED --query 'jobSummaryList[?arrayProperties.index==`3`].jobId')" "$array:3"
is "$(output "$array:4")" '4 of 5'

echo 'element by element, and one after the other'
times=$(text batch describe-jobs --jobs "$seq":{0,1,2,3,4} --query 'sort_by(jobs,&arrayProperties.index)[].[startedAt,stoppedAt]')
# shellcheck disable=SC2086 # numbers
is "$(printf '%s\n' $times | sort -n | tr '\n' ' ')" "$times "
times=$(text batch describe-jobs --jobs "$array:2" "$ntn:2" --query 'sort_by(jobs,&createdAt)[].[startedAt,stoppedAt]')
# shellcheck disable=SC2086
is "$(printf '%s\n' $times | sort -n | tr '\n' ' ')" "$times "

echo 'a job that fails, and one that depends on it'
failed=$(submit failing --job-definition "$prefix-fail" --retry-strategy attempts=2)
after=$(submit after --job-definition "$prefix-say" --parameters what=never --depends-on jobId="$failed")
is "$(ended "$failed" "$after")" 'FAILED FAILED'
is "$(status "$failed" '[statusReason,container.exitCode,length(attempts)]')" 'Essential container in task exited 3 2'
is "$(output "$failed")" 'attempt 2'
is "$(status "$after" '[statusReason,length(attempts),dependsOn[0].jobId,container.exitCode]')" "Dependent Job failed 0 $failed None"

echo 'a job that runs, is cancelled in vain, and terminated'
running=$(submit running --job-definition "$prefix-sleep" --tags colour=red)
await 'RUNNING' batch describe-jobs --jobs "$running" --query 'jobs[0].status'
is "$(list --job-queue "$queue")" 'running' # no status: RUNNING only
aws batch cancel-job --job-id "$running" --reason 'too late'
waiting=$(submit waiting --job-definition "$prefix-index" --array-properties size=2 --depends-on jobId="$running")
await 'PENDING' batch describe-jobs --jobs "$waiting" --query 'jobs[0].status'
is "$(list --job-queue "$queue" --job-status PENDING)" 'waiting'
is "$(status "$running" '[status,container.exitCode]')" 'RUNNING None'
aws batch terminate-job --job-id "$running" --reason 'enough of it'
is "$(ended "$running" "$waiting")" 'FAILED FAILED'
is "$(status "$running" '[statusReason,length(attempts),tags.colour]')" 'enough of it 1 red'
is "$(status "$waiting" 'statusReason')" 'Dependent Job failed'
aws batch terminate-job --job-id "$running" --reason 'once more'
aws batch terminate-job --job-id 00000000-0000-4000-8000-000000000000 --reason 'unknown'
is "$(status "$running" 'statusReason')" 'enough of it'
is "$(text batch describe-jobs --jobs 00000000-0000-4000-8000-000000000000 --query 'jobs')" ''

echo 'lists'
is "$(list --job-queue "$queue" --job-status SUCCEEDED | tr ' ' '\n' | sort | tr '\n' ' ')" 'array ntn plain seq '
is "$(list --job-queue "$queue" --job-status FAILED | tr ' ' '\n' | sort | tr '\n' ' ')" 'after failing running waiting '
is "$(list --job-queue "$queue")" ''
is "$(list --job-queue "$queue" --filters "name=JOB_NAME,values=$prefix-*")" 'waiting running after failing seq ntn array plain' # newest first
is "$(list --job-queue "$queue" --filters "name=JOB_NAME,values=${prefix^^}-A*" --job-status RUNNING)" 'after array' # any case, any status
is "$(list --job-queue "$queue" --filters "name=JOB_DEFINITION,values=$prefix-index" --page-size 2)" 'waiting seq ntn array'
is "$(list --job-queue "$queue" --filters "name=JOB_DEFINITION,values=$prefix-index" --max-items 1)" 'waiting*'
refused ClientException 'Only one filter key-value pair can be specified.' batch list-jobs --job-queue "$queue" \
  --filters "name=JOB_NAME,values=a" "name=JOB_DEFINITION,values=b"
refused ClientException '' batch list-jobs --job-queue "$queue" --job-status NOSUCH
refused ClientException '' batch list-jobs

echo 'tags'
arn=$(text batch describe-job-queues --job-queues "$queue" --query 'jobQueues[0].jobQueueArn')
aws batch tag-resource --resource-arn "$arn" --tags team=a,stage=test
aws batch untag-resource --resource-arn "$arn" --tag-keys team
is "$(text batch list-tags-for-resource --resource-arn "$arn" --query 'tags')" 'test'

echo 'logs'
is "$(text logs describe-log-groups --log-group-name-prefix /aws/batch/job --query 'logGroups[0].logGroupName')" '/aws/batch/job'
is "$(text logs describe-log-streams --log-group-name /aws/batch/job --log-stream-name-prefix "$prefix-fail/" --query 'length(logStreams)')" '2'
is "$(text logs filter-log-events --log-group-name /aws/batch/job --log-stream-name-prefix "$prefix-fail/" --query 'sort(events[].message)')" 'attempt 1 attempt 2'
stream=$(status "$plain" container.logStreamName)
is "$(text logs get-log-events --log-group-name /aws/batch/job --log-stream-name "$stream" --limit 1 --query 'events[].message')" 'for you' # the last
token=$(text logs get-log-events --log-group-name /aws/batch/job --log-stream-name "$stream" --start-from-head --query nextForwardToken)
is "$(text logs get-log-events --log-group-name /aws/batch/job --log-stream-name "$stream" --start-from-head --next-token "$token" \
  --query '[length(events),nextForwardToken]')" "0 $token" # the same token again: the end
refused ResourceNotFoundException '' logs get-log-events --log-group-name /aws/batch/job --log-stream-name "$prefix-none"

echo 'and back'
refused ClientException '' batch delete-job-queue --job-queue "$queue"
refused ClientException '' batch delete-compute-environment --compute-environment "$ce"
is "$(text batch update-job-queue --job-queue "$queue" --state DISABLED --query jobQueueName)" "$queue"
await 'DISABLED VALID' batch describe-job-queues --job-queues "$queue" --query 'jobQueues[0].[state,status]'
refused ClientException '' batch submit-job --job-name x --job-queue "$queue" --job-definition "$prefix-fail"
is "$(text batch update-compute-environment --compute-environment "$ce" --state DISABLED --query computeEnvironmentName)" "$ce"
await 'DISABLED VALID' batch describe-compute-environments --compute-environments "$ce" --query 'computeEnvironments[0].[state,status]'
refused ClientException 'Cannot delete, found existing JobQueue relationship' batch delete-compute-environment --compute-environment "$ce"
aws batch delete-job-queue --job-queue "$queue"
await '' batch describe-job-queues --job-queues "$queue" --query 'jobQueues[].status'
aws batch delete-compute-environment --compute-environment "$ce"
await '' batch describe-compute-environments --compute-environments "$ce" --query 'computeEnvironments[].status'
for d in say:2 index:1 fail:1 sleep:1; do aws batch deregister-job-definition --job-definition "$prefix-$d"; done
is "$(text batch describe-job-definitions --job-definition-name "$prefix-index" --status ACTIVE --query 'jobDefinitions')" ''
echo 'walked'
