import assert from 'node:assert/strict';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { setTimeout as delay } from 'node:timers/promises';
import { parseVerdict, type Verdict } from '../chaos/answer.ts';
import { sendRequest } from '../real/support/request.ts';

/** Sends reviews as the API server and kubectl do, on connections that stay open. */
export interface ReviewClient {
  /** Sends one review of a pod with this image. */
  readonly review: (image: string) => Promise<Verdict>;
  /** Sends it until its image is replaced. */
  readonly apply: (image: string) => Promise<Applied>;
  readonly close: () => void;
}

interface Applied {
  /** The image that the pod has now. */
  readonly copy: string;
  /** Number of answers that asked for a retry. */
  readonly retries: number;
}

/** client-go retries a write ten times (rest/with_retry.go). */
const maxRetries = 10;

export function createReviewClient({
  url,
  ca,
}: {
  readonly url: string;
  readonly ca?: string;
}): ReviewClient {
  const agent =
    ca === undefined ? new HttpAgent({ keepAlive: true }) : new HttpsAgent({ keepAlive: true, ca });

  async function review(image: string): Promise<Verdict> {
    const { body } = await sendRequest(`${url}/clone-image?timeout=10s`, {
      agent,
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(toReview(image)),
    });
    return parseVerdict(body);
  }

  return {
    review,
    apply: async (image) => {
      for (let retries = 0; ; retries += 1) {
        const { patch, code, message, retryAfterSeconds = 1 } = await review(image);
        const replaced = patch?.find(({ op }) => op === 'replace')?.value;
        if (typeof replaced === 'string') return { copy: replaced, retries };
        assert.equal(code, 504, message);
        assert.ok(retries < maxRetries, `no copy of ${image} after ${maxRetries} retries`);
        await delay(retryAfterSeconds * 1_000);
      }
    },
    close: () => agent.destroy(),
  };
}

/** The review of a new pod. */
function toReview(image: string): object {
  const kind = { group: '', version: 'v1', kind: 'Pod' };
  const object = { metadata: {}, spec: { containers: [{ name: 'web', image }] } };
  return {
    apiVersion: 'admission.k8s.io/v1',
    kind: 'AdmissionReview',
    request: { uid: 'bench', kind, operation: 'CREATE', object },
  };
}
