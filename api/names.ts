/**
 * Names as Kubernetes writes them, for fields that refer to other objects. A name becomes part of a URL and of a path on disk. It is
 * therefore judged twice: by the schema when the resource is written, and again at its use.
 */

/** Of a Secret, ConfigMap, ServiceAccount or priority class: an RFC 1123 subdomain. At most 253 characters. */
export const objectNamePattern = '^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'

/** Of a key in a Secret or ConfigMap. A mount makes it a file name: it is not `.` and does not begin with `..`. */
export const dataKeyPattern = '^[.]?[-_a-zA-Z0-9][-._a-zA-Z0-9]*$'

const objectName = new RegExp(objectNamePattern)
const dataKey = new RegExp(dataKeyPattern)
const longest = 253

export const isObjectName = (text: string): boolean => text.length <= longest && objectName.test(text)
export const isDataKey = (text: string): boolean => text.length <= longest && dataKey.test(text)
