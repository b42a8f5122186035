/** The demo's two threads as the main thread sees them: producer and worker started, followed, and finished one after the other. */
import { extname } from 'node:path'
import { Worker as Thread } from 'node:worker_threads'
import { failure, type StreamPipelineError } from '../../api/errors.ts'
import type { DemoCounts } from '../view.ts'
import type { ProducerMessage, ThreadCommand, ThreadInput, WorkerMessage } from './messages.ts'

type Produced = Extract<ProducerMessage, { kind: 'Finished' }>
type Executed = Extract<WorkerMessage, { kind: 'Finished' }>

export interface Demo {
  /** When the producer began (performance.now); undefined before. */
  readonly producingSince: number | undefined
  counts(): DemoCounts
  /** No more input; resolves with the accepted requests. Idempotent. */
  finishProducing(): Promise<Produced>
  /** No more executions; resolves with the executed jobs. Idempotent. */
  finishWorking(): Promise<Executed>
  /** Ends both threads at once. Idempotent. */
  close(): Promise<void>
}

/** @param onFatal called when a thread cannot go on */
export function startDemo(input: ThreadInput, onFatal: (error: StreamPipelineError) => void): Demo {
  let counts: DemoCounts = { entries: 0, executions: 0 }
  let producingSince: number | undefined
  const producer = startThread<ProducerMessage>('producer', input, onFatal, (message) => {
    if (message.kind === 'Started') producingSince = performance.now()
    if (message.kind === 'Produced') counts = { ...counts, entries: message.entries }
  })
  const worker = startThread<WorkerMessage>('worker', input, onFatal, (message) => {
    if (message.kind === 'Executed') counts = { ...counts, executions: message.executions }
  })
  return {
    get producingSince() {
      return producingSince
    },
    counts: () => counts,
    finishProducing: () => producer.finish(),
    finishWorking: () => worker.finish(),
    async close() {
      await Promise.all([producer.thread.terminate(), worker.thread.terminate()])
    },
  }
}

interface Part<Finished> {
  readonly thread: Thread
  finish(): Promise<Finished>
}

type FinishedOf<Message> = Extract<Message, { kind: 'Finished' }>

function startThread<Message extends ProducerMessage | WorkerMessage>(
  name: 'producer' | 'worker',
  input: ThreadInput,
  onFatal: (error: StreamPipelineError) => void,
  onMessage: (message: Message) => void,
): Part<FinishedOf<Message>> {
  // The sources run as .ts, the published package as .js: the thread's file has the extension of this one.
  const thread = new Thread(new URL(`./${name}${extname(import.meta.url)}`, import.meta.url), { workerData: input })
  const finished = Promise.withResolvers<FinishedOf<Message>>()
  // A caller that waits gets the failure. onFatal gets it in any case.
  finished.promise.catch(() => {})
  const fail = (detail: string, cause?: unknown) => {
    const error = failure('Internal', { detail: `the demo's ${name}: ${detail}` }, cause)
    finished.reject(error)
    onFatal(error)
  }
  thread.on('message', (message: Message) => {
    if (message.kind === 'Finished') finished.resolve(message as FinishedOf<Message>)
    else if (message.kind === 'Failed') fail(message.detail)
    else onMessage(message)
  })
  thread.on('error', (thrown) => fail(thrown instanceof Error ? thrown.message : String(thrown), thrown))
  return {
    thread,
    finish() {
      thread.postMessage({ kind: 'Finish' } satisfies ThreadCommand)
      return finished.promise
    },
  }
}
