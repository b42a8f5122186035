/** Messages of the processes that look at pipelines: results are kept and passed on, questions are answered. */
import { asFailure } from '../../../api/errors.ts'
import { errorFrom, observationFrom, wireError } from '../wire.ts'
import type { Entry, RunningGroup } from './entries.ts'
import type { FromLooks, Question } from './messages.ts'
import type { LookHostOptions } from './options.ts'

export function createHearing(
  options: LookHostOptions,
  entries: ReadonlyMap<string, Entry>,
): (group: RunningGroup, message: FromLooks) => void {
  function hear(group: RunningGroup, message: FromLooks): void {
    switch (message.kind) {
      case 'Begun':
        group.begun.add(message.key)
        return
      case 'Looked':
        looked(group, message)
        return
      case 'Changed':
        if (group.keys.has(message.key)) options.onChange(message.key, message.urgent)
        return
      case 'Ask':
        answer(group, message.id, message.question)
        return
      case 'Reaped':
        options.onReaped(message.key, message.consumer, message.reaping)
        return
      case 'ReapingFailure':
        options.onReapingFailure(message.key, errorFrom(message.error))
        return
      case 'Decided':
        options.onDecision(message.line)
        return
      case 'Failure':
        options.onFailure(errorFrom(message.error), { pipeline: message.key })
        return
      default:
        message satisfies never
    }
  }

  function looked(group: RunningGroup, { key, observation, tookMs }: Extract<FromLooks, { kind: 'Looked' }>): void {
    group.begun.delete(key)
    const entry = entries.get(key)
    if (entry?.group !== group) return
    entry.looks += 1
    entry.observation = observationFrom(observation)
    options.onLook(key, entry.observation, tookMs)
  }

  function answer(group: RunningGroup, id: number, question: Question): void {
    answerOf(question).then(
      (value) => group.child.send({ kind: 'Answer', id, value }),
      (thrown: unknown) => group.child.send({ kind: 'Refusal', id, error: wireError(asFailure(thrown)) }),
    )
  }

  async function answerOf(question: Question): Promise<string | boolean> {
    switch (question.kind) {
      case 'Reference':
        return await options.reader.read(question.namespace, question.reference, question.maxAgeMs)
      case 'PipelineGone':
        return question.holder.cluster === options.settings.cluster && options.pipelineGone(question.holder)
      case 'Gone':
        return await options.confirmGone(question.namespace, question.name, question.uid, options.clock.now() - question.ageMs)
      default:
        return question satisfies never
    }
  }

  return hear
}
