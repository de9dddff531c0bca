import type { Answer, CloudRequest, CloudResponse } from './server.ts';

/** Amazon ECR and STS, as far as the SDK uses them: https://docs.aws.amazon.com/AmazonECR/latest/APIReference/ */
export interface FakeAws {
  readonly answer: Answer;
  /** The calls so far: `AssumeRoleWithWebIdentity`, `GetAuthorizationToken`, `CreateRepository`. */
  readonly calls: string[];
  /** The bodies of calls of Amazon ECR. */
  readonly bodies: unknown[];
  /** Answers instead of the real one, in order, by call. */
  readonly faults: Map<string, (CloudResponse | 'silence')[]>;
  /** The password of the token, which a test can change. */
  password: string;
  /** Milliseconds since 1970. */
  expiresAt: number;
  /** The clock of AWS is ahead by this much. */
  skewMs: number;
  account: string;
  readonly repositories: Set<string>;
}

export const region = 'eu-central-1';
export const ecrDomain = `123456789012.dkr.ecr.${region}.amazonaws.com`;

/** An error of Amazon ECR's JSON protocol. */
export function ecrError(type: string, message: string, status = 400): CloudResponse {
  return {
    status,
    headers: { 'content-type': 'application/x-amz-json-1.1' },
    body: JSON.stringify({ __type: type, message }),
  };
}

/** An error of STS's XML protocol. */
export function stsError(code: string, message: string, status = 400): CloudResponse {
  return {
    status,
    headers: { 'content-type': 'text/xml' },
    body: `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>${code}</Code><Message>${message}</Message></Error><RequestId>1</RequestId></ErrorResponse>`,
  };
}

export function createFakeAws(): FakeAws {
  const aws: FakeAws = {
    calls: [],
    bodies: [],
    faults: new Map(),
    password: 'ecr-password',
    expiresAt: Date.now() + 12 * 3_600_000,
    skewMs: 0,
    account: '123456789012',
    repositories: new Set(),
    answer,
  };

  function answer(request: CloudRequest): CloudResponse | undefined {
    const call = callOf(request);
    aws.calls.push(call);
    const fault = aws.faults.get(call)?.shift();
    if (fault === 'silence') return undefined;
    const date = new Date(Date.now() + aws.skewMs).toUTCString();
    const response = fault ?? respond(call, request);
    return { ...response, headers: { ...response.headers, date } };
  }

  function respond(call: string, request: CloudRequest): CloudResponse {
    switch (call) {
      case 'AssumeRoleWithWebIdentity':
        return assumeRole(new URLSearchParams(request.body));
      case 'PodIdentity':
        return podIdentity(request);
      case 'GetAuthorizationToken': {
        if (isSkewed(request)) {
          return ecrError('InvalidSignatureException', 'Signature expired: it is too old', 403);
        }
        const token = Buffer.from(`AWS:${aws.password}`).toString('base64');
        return json({
          authorizationData: [
            {
              authorizationToken: token,
              expiresAt: aws.expiresAt / 1000,
              proxyEndpoint: `https://${aws.account}.dkr.ecr.${region}.amazonaws.com`,
            },
          ],
        });
      }
      case 'CreateRepository':
        return createRepository(request);
      default:
        return ecrError('UnknownOperationException', call);
    }
  }

  function assumeRole(form: URLSearchParams): CloudResponse {
    if (form.get('WebIdentityToken') !== 'web-token') {
      return stsError('InvalidIdentityToken', 'no such token');
    }
    const expiration = new Date(Date.now() + 3_600_000).toISOString();
    return {
      headers: { 'content-type': 'text/xml' },
      body: `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><AssumedRoleUser><Arn>arn:aws:sts::${aws.account}:assumed-role/cloner/x</Arn><AssumedRoleId>A:x</AssumedRoleId></AssumedRoleUser><Credentials><AccessKeyId>ASIAWEB</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>session</SessionToken><Expiration>${expiration}</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
    };
  }

  function podIdentity({ headers }: CloudRequest): CloudResponse {
    if (headers.authorization !== 'pod-token') return { status: 401, body: '{}' };
    return json({
      AccessKeyId: 'ASIAPOD',
      SecretAccessKey: 'secret',
      Token: 'session',
      Expiration: new Date(Date.now() + 3_600_000).toISOString(),
      AccountId: aws.account,
    });
  }

  function createRepository({ body }: CloudRequest): CloudResponse {
    const request: unknown = JSON.parse(body);
    aws.bodies.push(request);
    const name =
      typeof request === 'object' && request !== null && 'repositoryName' in request
        ? String(request.repositoryName)
        : '';
    if (aws.repositories.has(name)) {
      return ecrError('RepositoryAlreadyExistsException', `${name} already exists`);
    }
    aws.repositories.add(name);
    return json({ repository: { registryId: aws.account, repositoryName: name } });
  }

  /** AWS refuses signatures of more than five minutes ago. */
  function isSkewed({ headers }: CloudRequest): boolean {
    const [, y, m, d, h, min, s] =
      /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(String(headers['x-amz-date'])) ?? [];
    const signedAt = Date.parse(`${y}-${m}-${d}T${h}:${min}:${s}Z`);
    return Math.abs(Date.now() + aws.skewMs - signedAt) > 300_000;
  }

  return aws;
}

function callOf({ headers, body, path }: CloudRequest): string {
  const target = headers['x-amz-target'];
  if (typeof target === 'string') return target.replace(/^.*\./, '');
  if (path === '/v1/credentials') return 'PodIdentity';
  return new URLSearchParams(body).get('Action') ?? path;
}

function json(body: unknown): CloudResponse {
  return {
    headers: { 'content-type': 'application/x-amz-json-1.1' },
    body: JSON.stringify(body),
  };
}
