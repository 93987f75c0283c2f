import * as z from 'zod';
import { GROUP_NAME, GROUP_NAME_RULE, MOST_GPUS, MOST_OWNER_CHARACTERS, MOST_PRIORITY } from '../bounds.ts';
import { RESOURCE_TYPES } from '../contract/resources.ts';
import { pinnedImage } from '../image-reference.ts';
import { labels, orderNeeds, RUNNER_PROTOCOLS } from '../needs.ts';
import { uuid } from '../uuid.ts';
import { bytesOf, decodedBytes, MOST_IN_JOB } from './bounds.ts';
import { brokenRunnerInput, bucketPlace, inputPath, isWithin } from './places.ts';
import { sheepModel } from './sheep.ts';

/** Variables that say which GPUs a container has, and those of the platform. */
const RESERVED_VARIABLES = /^(?:MORPHEO_.*|NVIDIA_.*|CUDA_VISIBLE_DEVICES|CUDA_DEVICE_ORDER)$/;

const argument = z.string().refine((text) => !text.includes('\0'), 'should have no character 0');

const command = z
  .array(argument)
  .max(MOST_IN_JOB.arguments)
  .refine(
    (all) => bytesOf(all) <= MOST_IN_JOB.argumentBytes,
    `should have ${MOST_IN_JOB.argumentBytes} bytes in all at the most`,
  );

const variable = z
  .string()
  .max(128)
  .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'should be a name of letters, digits and _, the first no digit')
  .refine(
    (name) => !RESERVED_VARIABLES.test(name),
    'should not be MORPHEO_…, NVIDIA_…, CUDA_VISIBLE_DEVICES or CUDA_DEVICE_ORDER: the platform sets these',
  );

const env = z
  .record(variable, argument)
  .refine(
    (all) => Object.keys(all).length <= MOST_IN_JOB.variables,
    `should be at most ${MOST_IN_JOB.variables} variables`,
  )
  .refine(
    (all) => bytesOf(Object.entries(all).flat()) <= MOST_IN_JOB.variableBytes,
    `should have ${MOST_IN_JOB.variableBytes} bytes in all at the most`,
  )
  .overwrite(sorted);

/** A thing on storage, as an input names it. */
export const inputResource = z.strictObject({ type: z.enum(RESOURCE_TYPES), uuid });

const SOURCES = ['resource', 'inline', 'bucket'] as const;

const jobInput = z
  .strictObject({
    /** Where the job finds it: read-only, and absolute. */
    path: inputPath,
    /** A thing on storage. */
    resource: inputResource.optional(),
    /** Its bytes themselves, as base64. */
    inline: z.base64().optional(),
    /** All that lies below a prefix of a bucket, as a folder. */
    bucket: bucketPlace.optional(),
    /** True: it is a tar, gzipped or not, and the job finds a folder with what is in it. An output is a folder anyway. */
    unpack: z.boolean().optional(),
  })
  .refine(
    (input) => SOURCES.filter((source) => input[source] !== undefined).length === 1,
    'should have exactly one of resource, inline and bucket',
  )
  .refine(
    ({ bucket, unpack }) => bucket === undefined || unpack !== true,
    'should have no unpack with a bucket, whose objects are a folder',
  );

/** An input of a job: a thing on storage, bytes that stand in the order, or a prefix of a bucket. */
export type JobInput = z.infer<typeof jobInput>;

const inputs = z
  .array(jobInput)
  .max(MOST_IN_JOB.inputs)
  .superRefine((all, context) => {
    const paths = all.map(({ path }) => path);
    for (const [index, one] of paths.entries()) {
      const other = paths.find(
        (folder, at) => at !== index && isWithin(one, folder) && (one !== folder || at < index),
      );
      if (other === undefined) continue;
      const message = `should not be at or in ${other}, which is another input`;
      context.addIssue({ code: 'custom', path: [index, 'path'], message });
    }
    const inline = all.reduce((sum, one) => sum + decodedBytes(one.inline ?? ''), 0);
    if (inline <= MOST_IN_JOB.inlineBytes) return;
    const message = `should have ${MOST_IN_JOB.inlineBytes} bytes inline at the most (these have ${inline}): upload what is larger as data`;
    context.addIssue({ code: 'custom', message });
  });

/** Where the outputs of a job go: to storage where nothing is said. */
export const jobOutputs = z
  .strictObject({
    /** False: no result is kept on storage. */
    storage: z.boolean().optional(),
    /** Where they are copied to in a bucket, with a manifest that is written last. */
    bucket: bucketPlace.optional(),
  })
  .refine(
    ({ storage, bucket }) => storage !== false || bucket !== undefined,
    'should go to storage, to a bucket, or to both',
  );

/** Limits of a job: each is the worker's own where absent, and never more than that. */
export const jobLimits = z.strictObject({
  wall_seconds: z.int().min(1).optional(),
  memory_bytes: z
    .int()
    .min(6 * 1024 * 1024)
    .optional(),
  disk_bytes: z.int().min(1).optional(),
});

/** See {@link jobLimits}. */
export type JobLimits = z.infer<typeof jobLimits>;

const callback = z
  .url({ protocol: /^https?$/ })
  .max(2000)
  .refine((url) => !/^https?:\/\/[^/]*@/.test(url), 'should have no credentials');

const PROGRAMS = ['image', 'algo', 'sheep'] as const;

/**
 * A job: an image, or an uploaded algorithm, that is run with a command on inputs, and whose outputs are
 * kept. What it does is told at its members.
 */
export const job = z
  .strictObject({
    uuid,
    /** An image of a registry, by its digest. */
    image: pinnedImage.optional(),
    /** In place of an image, an algorithm on storage. */
    algo: uuid.optional(),
    /** In place of an image, a model of a bare sheep of Shepherd: a program that the operator of its worker has there. */
    sheep: sheepModel.optional(),
    /**
     * That it is a call in a warm runner, which goes on after it and answers the calls of others of the same owner: the image
     * speaks this protocol. Inputs below `/in/` are the call's; all others, the command and the variables the runner's.
     */
    warm: z.enum(RUNNER_PROTOCOLS).optional(),
    /** In place of the image's own command; its entry point stays. */
    command: command.optional(),
    /** Never secrets: whoever may see the order sees them. */
    env: env.optional(),
    inputs: inputs.optional(),
    /** The id that its outputs have on storage; drawn where absent. */
    output: uuid.optional(),
    outputs: jobOutputs.optional(),
    limits: jobLimits.optional(),
    gpus: z.int().min(0).max(MOST_GPUS).optional(),
    /** What its worker has to offer; Docker, where it has an image. */
    needs: orderNeeds.optional(),
    /** On whose share, and by whose rights, it is run: the caller's where absent. */
    owner: z
      .string()
      .min(1)
      .max(MOST_OWNER_CHARACTERS)
      .refine((name) => !/\p{Cc}/u.test(name), 'should have no control characters')
      .optional(),
    priority: z.int().min(-MOST_PRIORITY).max(MOST_PRIORITY).optional(),
    group: z.string().regex(GROUP_NAME, GROUP_NAME_RULE).optional(),
    /** To find it again. */
    labels: labels.overwrite(sorted).optional(),
    /** Is told of the end by a POST, where the operator allows it. */
    callback: callback.optional(),
  })
  .refine(
    (given) => PROGRAMS.filter((name) => given[name] !== undefined).length === 1,
    'should have exactly one of image, algo and sheep',
  )
  .refine(({ sheep, warm }) => sheep === undefined || warm === 'zeromq', {
    path: ['warm'],
    message: 'should be zeromq, which is what a bare sheep speaks',
  })
  .refine(({ sheep, command, env }) => sheep === undefined || (command ?? env) === undefined, {
    path: ['sheep'],
    message: 'should stand without command and env: its operator says how it is started',
  })
  .refine(({ image, needs }) => image === undefined || needs?.runtime !== 'process', {
    path: ['needs', 'runtime'],
    message: 'should be docker, or absent: an image runs nowhere else',
  })
  .refine(({ warm, needs }) => needs?.warm === undefined || needs.warm === warm, {
    path: ['needs', 'warm'],
    message: 'should be absent: a job needs what it says with warm',
  })
  .superRefine(({ warm, inputs = [] }, context) => {
    if (warm === undefined) return;
    for (const [index, { path, bucket }] of inputs.entries()) {
      const message = brokenRunnerInput(path, bucket !== undefined);
      if (message !== undefined)
        context.addIssue({ code: 'custom', path: ['inputs', index, 'path'], message });
    }
  });

/** See {@link job}. */
export type Job = z.output<typeof job>;

function sorted<T extends Record<string, string>>(record: T): T {
  // The same entries in another order.
  return Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1))) as T;
}
