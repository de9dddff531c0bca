/**
 * Every failure of a registry as a `RegistryError`, and as a `CloneError` with its side.
 * All texts of a registry are cut, escaped and free of secrets here.
 */
export {
  type Attempt,
  isTransient,
  RegistryError,
  toCloneError,
  toConnectionError,
} from './registry-error.ts';
export { toRegistryError } from './response-error.ts';
