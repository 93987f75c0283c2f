import { posix } from 'node:path';
import { z } from 'zod';
import { buildFailure } from '../../dockerfile/failure.ts';
import { checkedVolume } from '../../dockerfile/plan/declarations.ts';
import { isOfDockerHub, OWN_REPOSITORIES } from '../../dockerfile/plan/image-names.ts';
import type { BaseConfig } from '../../dockerfile/plan/stage-reader.ts';
import type { Daemon } from '../client/daemon.ts';
import { explained, isAnswer } from '../client/errors.ts';
import { LABEL_PREFIX } from '../labels.ts';

/** An image that a Dockerfile starts from, or copies from. */
export interface Base {
  /** Whatever its name comes to mean meanwhile, this is the image that was looked at. */
  readonly id: string;
  /** In bytes. */
  readonly size: number;
  readonly config: BaseConfig;
}

const words = z
  .array(z.string())
  .nullish()
  .transform((list) => list ?? []);
const text = z
  .string()
  .nullish()
  .transform((value) => (value === null || value === '' ? undefined : value));
const configuration = z.object({
  Env: words,
  Entrypoint: words,
  OnBuild: words,
  Shell: words,
  User: text,
  WorkingDir: text,
  Volumes: z.record(z.string(), z.unknown()).nullish(),
  Labels: z.record(z.string(), z.string()).nullish(),
});
const inspected = z.object({
  Id: z.string().regex(/^sha256:[0-9a-f]{64}$/),
  Size: z.number().catch(0),
  RepoTags: words,
  Config: configuration.nullish(),
});
type Configuration = Partial<z.infer<typeof configuration>>;

/**
 * Looks up the images that a Dockerfile names, each once, so that one build sees one image by one name. What is not
 * there is pulled from Docker's own registry, where the daemon reaches that; never from an address that a Dockerfile
 * names.
 */
export class BaseImages {
  readonly #daemon: Daemon;
  readonly #signal: AbortSignal;
  readonly #found = new Map<string, Promise<Base>>();

  constructor(daemon: Daemon, signal: AbortSignal) {
    this.#daemon = daemon;
    this.#signal = signal;
  }

  /**
   * An image by its name. Throws `build_failed` naming the line where it is not there, where it was built of
   * somebody's archive, and where it has triggers (ONBUILD), which would run unread.
   */
  async find(name: string, line: number): Promise<Base> {
    const found = this.#found.get(name) ?? this.#look(name, line);
    this.#found.set(name, found);
    return await found;
  }

  async #look(name: string, line: number): Promise<Base> {
    const answer = (await this.#inspect(name)) ?? (await this.#pulled(name));
    if (answer === undefined) throw missing(name, line);
    const { Id, Size, RepoTags, Config } = inspected.parse(answer);
    const { OnBuild = [], ...config }: Configuration = Config ?? {};
    const isOwn = RepoTags.some((tag) => OWN_REPOSITORIES.some((own) => tag.startsWith(`${own}/`)));
    // Images from elsewhere may have labels like ours, by which they would be taken for what we made.
    if (isOwn || Object.keys(config.Labels ?? {}).some((label) => label.startsWith(LABEL_PREFIX)))
      throw buildFailure(
        `${name} was built for another archive: start from an image that is there for all.`,
        line,
      );
    if (OnBuild.length > 0) {
      const remedy = 'start from an image without, and write the instructions into the Dockerfile';
      throw buildFailure(`${name} has ONBUILD lines, which are not supported: ${remedy}.`, line);
    }
    return { id: Id, size: Size, config: configOf(config, (path) => checkedVolume(path, line, name)) };
  }

  async #inspect(name: string): Promise<unknown> {
    try {
      return await this.#daemon.inspectImage(name, { signal: this.#signal });
    } catch (error) {
      // Docker has names that we take and it does not.
      if (isAnswer(error, 400)) return undefined;
      throw error;
    }
  }

  /** What Docker's registry has by that name; undefined where it is not to be had. */
  async #pulled(name: string): Promise<unknown> {
    if (!isOfDockerHub(name)) return undefined;
    const [, image, tag] = /^([^@]*?)(?::([^:@/]+))?(?:@.*)?$/.exec(name) ?? [];
    const digest = /@(.*)$/.exec(name)?.[1];
    const query = { fromImage: image ?? name, tag: digest ?? tag ?? 'latest' };
    try {
      const path = '/images/create';
      const answer = await this.#daemon.stream('pull an image', {
        method: 'POST',
        path,
        query,
        signal: this.#signal,
      });
      for await (const _ of answer);
    } catch (error) {
      this.#signal.throwIfAborted();
      if (!isAnswer(error)) throw explained(error, 'pull an image', this.#daemon.address);
      return undefined;
    }
    return await this.#inspect(name);
  }
}

function configOf(config: Configuration, volume: (path: string) => string): BaseConfig {
  const { Env = [], Entrypoint = [], Shell = [], User, WorkingDir, Volumes, Labels } = config;
  const pairs = Env.map((entry) => /^([^=]+)=(.*)$/s.exec(entry) ?? []);
  return {
    environment: new Map(
      pairs.flatMap(([, name, value]) => (name === undefined ? [] : [[name, value ?? '']])),
    ),
    workingFolder: WorkingDir === undefined ? undefined : posix.resolve('/', WorkingDir),
    user: User,
    shell: Shell.length === 0 ? undefined : Shell,
    entryPoint: Entrypoint,
    volumes: Object.keys(Volumes ?? {}).map(volume),
    labels: new Map(Object.entries(Labels ?? {})),
  };
}

function missing(name: string, line: number): Error {
  const why = `the image ${name} is not on the Docker daemon of the worker, and cannot be pulled`;
  const remedy = 'Start from an image that is there, or ask whoever runs the worker to load this one';
  return buildFailure(`${why}. ${remedy}.`, line, undefined, 'base_image_unknown');
}
