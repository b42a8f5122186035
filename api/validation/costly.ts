/**
 * The parts that only a program can judge: the payload's JSON Schema with its patterns, schedules and their time zones. Their author
 * decides the cost. The operator therefore judges them where they cannot stall other resources.
 */
import { shown } from '../admission.ts'
import { payloadProblems } from './payload-schema.ts'
import { isRecord, type Problem } from './problem.ts'
import { scheduleProblems } from './schedules.ts'

/** @param value a document with its defaults */
export function costlyProblems(value: unknown): readonly Problem[] {
  const spec = isRecord(value) ? value['spec'] : undefined
  if (!isRecord(spec)) return []
  const payload = isRecord(spec['payload']) ? payloadProblems(spec['payload']) : []
  return [...payload, ...scheduleProblems(spec['scaling'])].map(shown)
}
