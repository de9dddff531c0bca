import type { Exchange } from '../http/index.ts';

export type Action = 'pull' | 'push' | 'delete' | '*';

/** Actions on one resource that a request needs or a token grants. */
export interface Access {
  readonly type: 'repository' | 'registry';
  readonly name: string;
  readonly actions: readonly Action[];
}

/** The access that a request needs, as in distribution (registry/handlers/app.go `appendAccessRecords`). */
export function requiredAccess({ method, target, url }: Exchange): readonly Access[] {
  if (target.kind === 'catalog') return [{ type: 'registry', name: 'catalog', actions: ['*'] }];
  if (!('repository' in target)) return [];
  const own = toRepository(target.repository, toActions(method));
  const from = target.kind === 'uploads' ? url.searchParams.get('from') : null;
  return from === null ? [own] : [own, toRepository(from, ['pull'])];
}

/** Cancelling an upload is a DELETE, so push access does not include it. */
function toActions(method: string): readonly Action[] {
  if (method === 'GET' || method === 'HEAD') return ['pull'];
  return method === 'DELETE' ? ['delete'] : ['pull', 'push'];
}

function toRepository(name: string, actions: readonly Action[]): Access {
  return { type: 'repository', name, actions };
}

/** Formats a scope: `repository:library/nginx:pull,push`. */
export function formatScope({ type, name, actions }: Access): string {
  return `${type}:${name}:${actions.join(',')}`;
}

/** Parses scopes separated by spaces. An unknown resource type or action is dropped, so it is not granted. */
export function parseScopes(text: string): readonly Access[] {
  return text.split(' ').flatMap((scope): Access[] => {
    const [, type = '', name = '', actions = ''] =
      /^(repository|registry)(?:\([^)]*\))?:(.+):([^:]*)$/.exec(scope) ?? [];
    if (type !== 'repository' && type !== 'registry') return [];
    return [{ type, name, actions: actions.split(',').filter(isAction) }];
  });
}

/** Whether `granted` includes every action of `needed`. */
export function covers(granted: readonly Access[], needed: Access): boolean {
  return needed.actions.every((action) =>
    granted.some(
      ({ type, name, actions }) =>
        type === needed.type && name === needed.name && actions.includes(action),
    ),
  );
}

function isAction(text: string): text is Action {
  return ['pull', 'push', 'delete', '*'].includes(text);
}
