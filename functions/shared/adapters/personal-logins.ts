import {
  openPersonalLogins,
  type PersonalLogins,
} from '../../../lib/adapters/credentials/personal-logins.ts';
import { CloneError, isFailureOf } from '../../../lib/errors.ts';
import { formatReference, type Reference } from '../../../lib/image/reference.ts';
import type { CredentialSource, Credentials, ImageCloner, Logger } from '../../../lib/index.ts';
import { toSentence } from '../run-command.ts';
import { type Env, isInsideCluster, namesAuthDir } from '../settings/environment.ts';

/** The logins of the person who runs a command by hand; a pod has none, and `REGISTRY_AUTH_DIR` replaces them. */
export async function openLogins(env: Env): Promise<PersonalLogins | undefined> {
  return namesAuthDir(env) || isInsideCluster(env) ? undefined : await openPersonalLogins({ env });
}

/** What a command adds to the adapters of the webhook. */
export interface ByHand {
  readonly logins: Promise<PersonalLogins | undefined>;
  /** Whether to copy images that only a personal login opens. */
  readonly shared: boolean;
}

interface SourceAdapters {
  readonly cloner: ImageCloner;
  readonly sourceCredentials: CredentialSource | undefined;
}

/** Tries the personal login after the other credentials. Makes the cloner refuse what only the login opens. */
export async function withLogins(
  byHand: ByHand,
  adapters: SourceAdapters,
  logger: Logger,
): Promise<SourceAdapters> {
  const logins = await byHand.logins;
  if (logins === undefined) return adapters;
  const { cloner, sourceCredentials: others } = adapters;
  const personal = new WeakSet<Credentials>();
  const sourceCredentials: CredentialSource = {
    async credentialsFor(image, within) {
      const found = (await others?.credentialsFor(image, within)) ?? [];
      const login = await logins.find(image).catch((error: unknown) => {
        logger.error({}, `${logins.file}: ${toSentence(error)}`);
        return undefined;
      });
      if (login === undefined) return found;
      personal.add(login);
      return [...found, login];
    },
  };
  return {
    sourceCredentials,
    cloner: byHand.shared
      ? cloner
      : refuseUnshared(cloner, { isPersonal: (each) => personal.has(each), file: logins.file }),
  };
}

interface LoginCheck {
  readonly isPersonal: (credentials: Credentials) => boolean;
  readonly file: string;
}

/** The copy is for every namespace, so a personal login opens only public images. */
function refuseUnshared(cloner: ImageCloner, { isPersonal, file }: LoginCheck): ImageCloner {
  return {
    ...cloner,
    async resolve(image, access, signal, options) {
      const found = await cloner.resolve(image, access, signal, options);
      const { side, credentials } = access;
      if (found === undefined || side === 'backup') return found;
      if (credentials === undefined || !isPersonal(credentials)) return found;
      const isPublic = await cloner.resolve(image, { side }, signal, options).then(
        (open) => open !== undefined,
        (error: unknown) => {
          if (isFailureOf(side, error, ['DENIED'])) return false;
          throw isFailureOf(side, error) ? toUnknown(image, error) : error;
        },
      );
      if (isPublic) return found;
      throw new CloneError(
        'SOURCE_REFUSED',
        `only your own login (${file}) opens ${formatReference(image)}, and every namespace may use its copy: add --shared if that is right`,
      );
    },
  };
}

function toUnknown(image: Reference, cause: CloneError): CloneError {
  return new CloneError(
    'SOURCE_REFUSED',
    `it is unclear if ${formatReference(image)} is public (${cause.message}): add --shared if every namespace may use its copy`,
    { cause },
  );
}
