// walk.mjs NODE_MODULES: what one does with AWS Batch, with the AWS SDK for JavaScript.
// AWS_ENDPOINT_URL is the endpoint; the names of all that is made begin with PREFIX.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';

const require = createRequire(process.argv[2] + '/');
const sdk = require('@aws-sdk/client-batch');
const cloudwatch = require('@aws-sdk/client-cloudwatch-logs');

const prefix = process.env.PREFIX ?? 'js';
const batch = new sdk.BatchClient({ maxAttempts: 1 });
const logs = new cloudwatch.CloudWatchLogsClient({ maxAttempts: 1 });
const call = (name, input = {}) => batch.send(new sdk[name + 'Command'](input));

// wait looks until it sees what is wanted, a minute at most.
async function wait(what, look, until) {
  const end = Date.now() + 60000;
  for (;;) {
    const seen = await look();
    if (until(seen)) return seen;
    if (Date.now() > end) assert.fail(`${what}: still ${JSON.stringify(seen)}`);
    await new Promise((done) => setTimeout(done, 20));
  }
}

// refused expects the service's own exception, with this text in its message.
async function refused(text, name, input) {
  await assert.rejects(call(name, input), (e) => {
    assert.ok(e instanceof sdk.ClientException, `${name}: ${e}`);
    assert.equal(e.$metadata.httpStatusCode, 400);
    assert.match(e.$metadata.requestId, /^[0-9a-f-]{36}$/);
    assert.ok(e.message.includes(text), `${name}: ${e.message}`);
    return true;
  });
}

const describe = async (id) => (await call('DescribeJobs', { jobs: [id] })).jobs[0];
const ended = (id) => wait(id, () => describe(id), (j) => ['SUCCEEDED', 'FAILED'].includes(j.status));

async function list(input) {
  const all = [];
  for await (const page of sdk.paginateListJobs({ client: batch, pageSize: 2 }, input)) all.push(...page.jobSummaryList);
  return all.map((j) => j.jobName);
}

async function output(stream) {
  const input = { logGroupName: '/aws/batch/job', logStreamName: stream, startFromHead: true };
  const page = await logs.send(new cloudwatch.GetLogEventsCommand(input));
  return page.events.map((e) => e.message);
}

const ce = prefix + '-ce', queue = prefix + '-queue';
const resourceRequirements = [{ type: 'VCPU', value: '1' }, { type: 'MEMORY', value: '64' }];
const define = (name, command) => call('RegisterJobDefinition', {
  jobDefinitionName: prefix + '-' + name, type: 'container', containerProperties: { image: 'busybox', command, resourceRequirements },
});
const submit = async (name, definition, more = {}) =>
  (await call('SubmitJob', { jobName: name, jobQueue: queue, jobDefinition: prefix + '-' + definition, ...more })).jobId;

// An environment, a queue, definitions.
await call('CreateComputeEnvironment', {
  computeEnvironmentName: ce, type: 'MANAGED', state: 'ENABLED',
  computeResources: {
    type: 'EC2', minvCpus: 0, maxvCpus: 16, instanceTypes: ['optimal'], subnets: ['subnet-220c0e0a'], securityGroupIds: ['sg-cf5093b2'], instanceRole: 'ecsInstanceRole',
  },
});
const environment = async () => (await call('DescribeComputeEnvironments', { computeEnvironments: [ce] })).computeEnvironments[0];
const jobQueue = async () => (await call('DescribeJobQueues', { jobQueues: [queue] })).jobQueues[0];
await wait(ce, environment, (e) => e.status === 'VALID');
await call('CreateJobQueue', { jobQueueName: queue, priority: 1, computeEnvironmentOrder: [{ order: 1, computeEnvironment: ce }], tags: { team: 'a' } });
await wait(queue, jobQueue, (q) => q.status === 'VALID');
assert.deepEqual((await jobQueue()).tags, { team: 'a' });
assert.equal((await define('say', ['echo', 'hello'])).revision, 1);
assert.equal((await define('index', ['sh', '-c', 'echo $AWS_BATCH_JOB_ARRAY_INDEX'])).revision, 1);
assert.equal((await define('fail', ['sh', '-c', 'exit 3'])).revision, 1);
assert.equal((await define('sleep', ['sleep', '600'])).revision, 1);

// A plain job; arrays; a failing job and what depends on it.
const plain = await submit('plain', 'say');
const array = await submit('array', 'index', { arrayProperties: { size: 5 } });
const ntn = await submit('ntn', 'index', { arrayProperties: { size: 5 }, dependsOn: [{ jobId: array, type: 'N_TO_N' }] });
const seq = await submit('seq', 'index', { arrayProperties: { size: 5 }, dependsOn: [{ type: 'SEQUENTIAL' }] });
const failing = await submit('failing', 'fail', { retryStrategy: { attempts: 2 } });
const after = await submit('after', 'say', { dependsOn: [{ jobId: failing }] });
let job = await ended(plain);
assert.deepEqual([job.status, job.container.exitCode, job.statusReason, job.attempts.length], ['SUCCEEDED', 0, 'Essential container in task exited', 1]);
assert.deepEqual(await output(job.container.logStreamName), ['hello']);
assert.ok(Number.isInteger(job.createdAt) && job.createdAt <= job.startedAt && job.startedAt <= job.stoppedAt);
for (const id of [array, ntn, seq]) {
  job = await ended(id);
  assert.deepEqual([job.status, job.arrayProperties.size, job.arrayProperties.statusSummary.SUCCEEDED], ['SUCCEEDED', 5, 5]);
}
const kids = async (id) => (await call('DescribeJobs', { jobs: [0, 1, 2, 3, 4].map((i) => `${id}:${i}`) })).jobs
  .sort((a, b) => a.arrayProperties.index - b.arrayProperties.index);
const [a, b, c] = await Promise.all([array, ntn, seq].map(kids));
for (let i = 0; i < 5; i++) {
  assert.deepEqual(await output(a[i].container.logStreamName), [String(i)]);
  assert.ok(b[i].startedAt >= a[i].stoppedAt);
  if (i > 0) assert.ok(c[i].startedAt >= c[i - 1].stoppedAt);
}
job = await ended(failing);
assert.deepEqual([job.status, job.container.exitCode, job.attempts.length], ['FAILED', 3, 2]);
job = await ended(after);
assert.deepEqual([job.status, job.statusReason, job.startedAt, job.container.exitCode], ['FAILED', 'Dependent Job failed', undefined, undefined]);

// Ending a job.
const running = await submit('running', 'sleep');
await wait(running, () => describe(running), (j) => j.status === 'RUNNING');
assert.deepEqual(await list({ jobQueue: queue }), ['running']);
await call('CancelJob', { jobId: running, reason: 'too late' });
await call('TerminateJob', { jobId: running, reason: 'enough' });
job = await ended(running);
assert.deepEqual([job.status, job.statusReason, job.isTerminated, job.isCancelled], ['FAILED', 'enough', true, false]);

// Lists, tags, refusals.
assert.deepEqual((await list({ jobQueue: queue, jobStatus: 'SUCCEEDED' })).sort(), ['array', 'ntn', 'plain', 'seq']);
assert.deepEqual(await list({ jobQueue: queue, filters: [{ name: 'JOB_NAME', values: ['A*'] }] }), ['after', 'array']);
assert.equal((await list({ arrayJobId: array, jobStatus: 'SUCCEEDED' })).length, 5);
assert.deepEqual(await list({ arrayJobId: array }), []);
const resourceArn = (await jobQueue()).jobQueueArn;
await call('TagResource', { resourceArn, tags: { 'a b/c': 'd e' } });
await call('UntagResource', { resourceArn, tagKeys: ['team'] });
assert.deepEqual((await call('ListTagsForResource', { resourceArn })).tags, { 'a b/c': 'd e' });
await refused('JobQueue none not found.', 'SubmitJob', { jobName: 'x', jobQueue: 'none', jobDefinition: prefix + '-say' });
await refused('Only one filter', 'ListJobs', { jobQueue: queue, filters: [{ name: 'JOB_NAME', values: ['a'] }, { name: 'JOB_NAME', values: ['b'] }] });
await refused('Maximum number of jobs supported is', 'DescribeJobs', { jobs: Array(101).fill(plain) });

// And back.
await refused('', 'DeleteJobQueue', { jobQueue: queue });
await call('UpdateJobQueue', { jobQueue: queue, state: 'DISABLED' });
await wait(queue, jobQueue, (q) => q.status === 'VALID');
await refused('', 'DeleteComputeEnvironment', { computeEnvironment: ce });
await call('DeleteJobQueue', { jobQueue: queue });
await wait(queue, jobQueue, (q) => !q);
await call('UpdateComputeEnvironment', { computeEnvironment: ce, state: 'DISABLED' });
await wait(ce, environment, (e) => e.status === 'VALID');
await call('DeleteComputeEnvironment', { computeEnvironment: ce });
await wait(ce, environment, (e) => !e);
for (const d of ['say', 'index', 'fail', 'sleep']) await call('DeregisterJobDefinition', { jobDefinition: `${prefix}-${d}:1` });
console.log('walked');
