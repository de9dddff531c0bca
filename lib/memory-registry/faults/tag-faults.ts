import { isByDigest, type Middleware } from '../http/index.ts';
import { answer } from './request-faults.ts';

/** Stores tags in lower case and finds them in any, as Gitea does. */
export function caselessTags(): Middleware {
  return async (exchange, next) => {
    const { target } = exchange;
    if (target.kind !== 'manifest' || isByDigest(target.reference)) return await next(exchange);
    const reference = target.reference.toLowerCase();
    return await next({ ...exchange, target: { ...target, reference } });
  };
}

/** Refuses to write a tag that exists, in ECR's words. */
export function immutableTags(): Middleware {
  return async (exchange, next) => {
    const { method, target } = exchange;
    if (target.kind !== 'manifest' || method !== 'PUT' || isByDigest(target.reference)) {
      return await next(exchange);
    }
    const { status } = await next({ ...exchange, method: 'HEAD' });
    if (status === 404) return await next(exchange);
    const { reference, repository } = target;
    const message = `The image tag '${reference}' already exists in the '${repository}' repository and cannot be overwritten because the repository is immutable.`;
    const body = JSON.stringify({ errors: [{ code: 'TAG_INVALID', message }] });
    return await answer(400, { body })(exchange, next);
  };
}
