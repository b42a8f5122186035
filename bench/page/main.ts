/** `npm run bench -- page`: writes docs/performance.md and its plots again, from the run in docs/performance/run.json. Nothing is measured. */
import { readRun, writePage } from './files.ts'

writePage(readRun())
