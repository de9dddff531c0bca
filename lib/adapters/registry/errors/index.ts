/**
 * Every failure of a registry as a `RegistryError`, and as a `CloneError` with its side.
 * Text of a registry is cut, escaped and cleared of secrets here.
 */
export { isTlsProblem } from './connection-error.ts';
export {
  type CredentialsUse,
  type ErrorContext,
  isTransient,
  RegistryError,
  toCloneError,
  toConnectionError,
  toPlainHttpToHttpsError,
  unsupported,
} from './registry-error.ts';
export { toRegistryError } from './response-error.ts';
