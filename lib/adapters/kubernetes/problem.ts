import { ApiException } from '@kubernetes/client-node';

/** `HTTP 500`, `no answer in time`, `ECONNREFUSED`: never a word of the answer itself, which may be a secret. */
export function toProblem(error: unknown, signal: AbortSignal): string {
  if (signal.aborted) return 'no answer in time';
  if (error instanceof ApiException) return `HTTP ${error.code}`;
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if ('code' in cause && typeof cause.code === 'string') return cause.code;
  }
  return error instanceof SyntaxError ? 'an answer that is not JSON' : 'no usable answer';
}
