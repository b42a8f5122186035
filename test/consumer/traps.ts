/**
 * `node --import` this: a payload whose job_id is `deadly` kills the process that makes a job of it, one whose job_id is `bug`
 * meets a bug there. A trap is sprung where the payload becomes a job's JSON, in the middle of its batch.
 */
const stringify = JSON.stringify

function trapped(value: unknown): void {
  const id: unknown = typeof value === 'object' && value !== null ? Reflect.get(value, 'job_id') : undefined
  if (id === 'deadly') process.kill(process.pid, 'SIGKILL')
  if (id === 'bug') throw new TypeError('a bug of ours')
}

JSON.stringify = (value: unknown, ...rest: []) => {
  trapped(value)
  return stringify(value, ...rest)
}
