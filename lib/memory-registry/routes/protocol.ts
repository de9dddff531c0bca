import type { Tokens } from '../auth/index.ts';
import { type Exchange, failRoute, type Handler, respondJson } from '../http/index.ts';
import type { Store } from '../storage/index.ts';
import { serveBlob } from './blob-routes.ts';
import { listReferrers, listRepositories, listTags } from './listing-routes.ts';
import { serveManifest } from './manifest-routes.ts';
import { beginUpload, serveUpload } from './upload-routes.ts';

export interface ProtocolDeps {
  readonly store: Store;
  /** Whether the referrers API is there; without it, clients keep tags named `sha256-…`. */
  readonly referrers: boolean;
  readonly tokens?: Tokens;
}

/** The distribution API, behind whatever guards it. */
export function createProtocol({ store, referrers, tokens }: ProtocolDeps): Handler {
  const answer = async (exchange: Exchange): Promise<Response> => {
    const { target } = exchange;
    switch (target.kind) {
      case 'root':
        return new Response(null);
      case 'base':
        return respondJson({});
      case 'catalog':
        return listRepositories(store, exchange);
      case 'tags':
        return listTags(store, exchange, target.repository);
      case 'manifest':
        return await serveManifest(store, exchange, target, { referrers });
      case 'blob':
        return serveBlob(store, exchange, target);
      case 'uploads':
        return beginUpload(store, exchange, target.repository);
      case 'upload':
        return await serveUpload(store, exchange, target);
      case 'referrers':
        return referrers ? listReferrers(store, exchange, target) : failRoute(404);
      case 'token':
        return tokens === undefined ? failRoute(404) : await tokens.endpoint(exchange);
      case 'nothing':
        return failRoute(404);
    }
  };
  return answer;
}
