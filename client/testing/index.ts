/**
 * `streampipeline/testing`: a pipeline in memory for an application's tests, and jobs for handlers. It needs no Redis and no test runner in
 * particular. Loaded by its first use, like the library.
 */
import { createRequire } from 'node:module'

export type { TestReplay } from './backend.ts'
export type { TestDeadLetter } from './deadletters.ts'
export { type JobMove, type TestContextInput, type TestJob, type TestJobInput, testContext, testJob } from './job.ts'
export type { Drained, TestedJob, TestPipeline, TestPipelineOptions } from './testpipeline.ts'
export type { TestWorkerOptions } from './worker.ts'

const load = createRequire(import.meta.url)

/**
 * Makes a pipeline in memory from its resource: a file's path, a document, a compiled pipeline, or a dispatch configuration. Throws
 * InvalidPipeline, InvalidOption, UnreadableFile.
 */
export const createTestPipeline: typeof import('./pipeline.ts').createTestPipeline = (...given) =>
  (load('./pipeline.ts') as typeof import('./pipeline.ts')).createTestPipeline(...given)
