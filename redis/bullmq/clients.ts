/**
 * BullMQ's connections. Release 6 has them behind a backend, release 5 on the queue and the worker themselves. An application brings its own
 * BullMQ, so both are met.
 */
import type { Queue, Worker } from 'bullmq'

type Client = Awaited<ReturnType<Queue['getBackend']>['client']>

interface Earlier {
  readonly client: Promise<Client>
  readonly blockingConnection?: { readonly client: Promise<Client> }
}

const isEarlier = (owner: Queue | Worker) => typeof Reflect.get(owner, 'getBackend') !== 'function'

/** The connection by which a queue sends its commands, once it is there. */
export async function clientOf(queue: Queue): Promise<Client> {
  return await (isEarlier(queue) ? (queue as unknown as Earlier).client : queue.getBackend().client)
}

/** The connection on which a worker waits for jobs, once it is there. */
export async function blockingClientOf(worker: Worker): Promise<unknown> {
  return await (isEarlier(worker)
    ? (worker as unknown as Earlier).blockingConnection?.client
    : worker.getBackend().blockingClient)
}
