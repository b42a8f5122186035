// The application for quickstart.yaml: a dispatcher that hands requests over, and a worker that runs them.
//
//   npx streampipeline up -f quickstart.yaml      in another terminal, with a Redis at 127.0.0.1:6379
//   node application.js                           hands over three requests, two of them for the same work: two runs
//
// REDIS_URL names another Redis. STREAMPIPELINE_MODE=Direct adds to the queue, past the stream. A request gets the same job and id.
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createDispatcher, createWorker, loadPipelines } from 'streampipeline'

const redis = process.env.REDIS_URL ?? 'redis://127.0.0.1:6379/0'
const file = new URL('quickstart.yaml', import.meta.url)
const [pipeline] = loadPipelines(readFileSync(file, 'utf8'), file.pathname)

// On a cluster the operator publishes the dispatcher's configuration as the ConfigMap ndvi-dispatch. Mounted at a folder:
//   createDispatcher({ config: '/etc/streampipeline', redis })
const dispatcher = createDispatcher({ pipeline: pipeline.document, redis })

// Your own records know which work is finished. Here they are a Map.
const results = new Map()

const worker = createWorker({
  queue: 'ndvi',
  redis,
  concurrency: 4,
  isTerminal: ({ request_hash }) => results.has(request_hash),
  async execute(request, { signal, upstream }) {
    const ndvi = await upstream('imagery', () => fetchNdvi(request.farm_id, signal))
    results.set(request.request_hash, ndvi)
    console.log(`farm ${request.farm_id}: ${ndvi}`)
    return { ndvi }
  },
})
await worker.start()

// Equal work has an equal hash. The time makes each run of this program ask for new work.
const asked = new Date().toISOString()
for (const [job_id, farm_id] of [7, 8, 7].entries()) {
  const request_hash = createHash('sha256').update(`ndvi_current of farm ${farm_id}, ${asked}`).digest('hex')
  const result = await dispatcher.dispatch({
    job_id: job_id + 1,
    request_hash,
    farm_id,
    engine: 'sentinel-hub',
    job_type: 'ndvi_current',
    enqueue_timestamp: Date.now() / 1000,
  })
  console.log(result.mode === 'Stream' ? `entry ${result.id}` : `job ${result.outcome}`)
}

// A request that violates the schema never leaves the process.
await dispatcher.dispatch({ job_id: 4 }).catch((error) => console.log(error.message))

while (results.size < 2) await new Promise((resolve) => setTimeout(resolve, 50))
await dispatcher.close()
await worker.close()
console.log((await worker.registry.metrics()).match(/^upstream_requests_total.*$/m)?.[0])

/** In place of a call to an imagery service. */
async function fetchNdvi(farm, signal) {
  await new Promise((resolve) => setTimeout(resolve, 100))
  signal.throwIfAborted()
  return Math.round(((farm * 37) % 100) + 1) / 100
}
