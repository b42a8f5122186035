/**
 * What only a program can look into: the payload's JSON Schema with its patterns, schedules and their time zones. Their author decides how
 * much that costs, so the operator has it judged where it cannot stall others.
 */
import { shown } from '../admission.ts'
import { payloadProblems } from './payload-schema.ts'
import { isRecord, type Problem } from './problem.ts'
import { scheduleProblems } from './schedules.ts'

/** @param value a document with its defaults in */
export function costlyProblems(value: unknown): readonly Problem[] {
  const spec = isRecord(value) ? value['spec'] : undefined
  if (!isRecord(spec)) return []
  const payload = isRecord(spec['payload']) ? payloadProblems(spec['payload']) : []
  return [...payload, ...scheduleProblems(spec['scaling'])].map(shown)
}
