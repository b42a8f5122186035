/**
 * The small types every part is made of: counts, durations, sizes, names. Each is bounded, because the API server bounds the cost
 * of CEL rules.
 */
import { z } from 'zod'
import { durationPattern, formatDuration, parseDuration } from '../duration.ts'
import { dataKeyPattern, objectNamePattern } from '../names.ts'
import { formatQuantity } from '../quantity.ts'
import { guarded, quoted, type Rule } from './rules.ts'

/** Replicas beyond this are a slip; it also bounds what one pipeline can cost. */
export const mostReplicas = 1000

export function count(minimum: number, maximum: number) {
  const schema = z.int().min(minimum).max(maximum)
  return schema.meta({ format: maximum > 2 ** 31 - 1 ? 'int64' : 'int32' })
}

export function text(maximum: number) {
  return z.string().min(1).max(maximum)
}

/** CEL: is this text a duration? Cross-field rules ask first, so that a misspelt one is reported once, at its own field. */
export function isDuration(field: string): string {
  return `${field}.matches(${quoted(durationPattern)})`
}

const durationForm: Rule = {
  rule: isDuration('self'),
  message:
    'write a duration such as 500ms, 30s, 5m, 1h30m or 24h (days and fractions are not units here: 7d is 168h, 1.5h is 1h30m)',
  reason: 'FieldValueInvalid',
}

/** A duration between two others, both included. */
export function duration(least: string, most: string, why = '') {
  const longest = formatDuration(parseDuration(most) ?? 0)
  return guarded(z.string().max(32), durationForm, {
    rule: `!${isDuration('self')} || (duration(self) >= duration(${quoted(least)}) && duration(self) <= duration(${quoted(most)}))`,
    message: `write a duration between ${least} and ${longest}${why === '' ? '' : `: ${why}`}`,
    reason: 'FieldValueInvalid',
  })
}

const sizeForm = "self.matches('^[0-9]{1,12}(Ki|Mi|Gi|k|M|G)?$')"

/** A size in bytes, as a plain number or a Kubernetes quantity without fraction. */
export function size(most: number) {
  return guarded(z.union([z.int(), z.string().max(32)]).meta({ 'x-kubernetes-int-or-string': true }), {
    rule: `type(self) == int ? (self >= 1 && self <= ${most}) : (${sizeForm} && quantity(self).isInteger() && quantity(self).asInteger() >= 1 && quantity(self).asInteger() <= ${most})`,
    message: `write a size between 1 byte and ${formatQuantity(most)}, such as 256Ki or 1M (not 256KB, 256K, 1.5Mi or 256m)`,
    reason: 'FieldValueInvalid',
  })
}

/** An amount of a pod's resource. */
export function amount() {
  return guarded(z.union([z.int(), z.string().max(32)]).meta({ 'x-kubernetes-int-or-string': true }), {
    rule: 'type(self) == int ? self >= 0 : isQuantity(self)',
    message: 'write a quantity, such as 500m for half a CPU or 256Mi for memory (not 256MB)',
    reason: 'FieldValueInvalid',
  })
}

/** The name of a Redis key that may carry one hash tag. */
export function keyName(maximum: number, example: string) {
  return guarded(text(maximum), {
    rule: "self.matches('^[^{}]*([{][^{}]+[}][^{}]*)?$')",
    message: `braces mark a Redis hash tag: write at most one pair with something inside, such as ${example}`,
    reason: 'FieldValueInvalid',
  })
}

const objectForm: Rule = {
  rule: `self.matches(${quoted(objectNamePattern)})`,
  message:
    'write the name of a Kubernetes object: lower case letters, digits, dashes and dots, with a letter or digit first and last',
  reason: 'FieldValueInvalid',
}

/** The name of another object. */
export function objectName() {
  return guarded(text(253), objectForm)
}

/** The name of another object. An empty text names none. */
export function optionalObjectName() {
  return guarded(z.string().max(253), { ...objectForm, rule: `self == '' || ${objectForm.rule}` })
}

/** A key in a Secret or ConfigMap. */
export function dataKey() {
  return guarded(text(253), {
    rule: `self.matches(${quoted(dataKeyPattern)})`,
    message: 'write a key as Secrets and ConfigMaps have it: letters, digits, dashes, dots and underscores; none begins with ..',
    reason: 'FieldValueInvalid',
  })
}

/** A field that may not change once the object exists. */
export function immutable(what: string): Rule {
  return {
    rule: 'self == oldSelf',
    message: `${what} cannot be changed: it would leave entries behind; create another StreamPipeline for the new ${what} and delete this one when it has drained`,
    reason: 'FieldValueForbidden',
  }
}
