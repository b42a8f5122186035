/** The errors that move a job are BullMQ's, by name or by message. */
import '../support/leaks.ts'
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DelayedError, RateLimitError, UnrecoverableError, WaitingChildrenError, WaitingError } from 'bullmq'
import { isMove } from '../../client/moves.ts'

for (const error of [new DelayedError(), new WaitingError(), new WaitingChildrenError(), new RateLimitError()])
  test(`${error.constructor.name} is a move`, () => assert.equal(isMove(error), true))

for (const error of [new UnrecoverableError(), new Error('DelayedError'), 'DelayedError', undefined])
  test(`${String(error)} is none`, () => assert.equal(isMove(error), false))
