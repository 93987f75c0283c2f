import * as z from 'zod';
import { RUNNER_PROTOCOLS } from '../needs.ts';
import { inputResource, jobLimits, jobOutputs } from './job.ts';
import { bucketPlace } from './places.ts';
import { sheepModel } from './sheep.ts';

/** What is answered to a job that was taken in. */
export const jobAccepted = z.object({
  /** Its id, as it was posted. */
  uuid: z.string(),
  /** The id that its outputs will have on storage; absent where none are kept there. */
  output: z.string().optional(),
});

/** A job as `/v1/orders` shows it: what runs, on what, and where its outputs go. */
export const jobView = z.object({
  image: z.string().optional(),
  /** The model of a bare sheep of Shepherd that it is for. */
  sheep: sheepModel.optional(),
  /** The protocol of the warm runner that it is a call in. */
  warm: z.enum(RUNNER_PROTOCOLS).optional(),
  command: z.array(z.string()).optional(),
  env: z.record(z.string(), z.string()).optional(),
  inputs: z.array(
    z.object({
      path: z.string(),
      resource: inputResource.optional(),
      bucket: bucketPlace.optional(),
      /** How many bytes stand in the order itself. */
      inline_bytes: z.int().optional(),
      unpack: z.boolean().optional(),
    }),
  ),
  /** The id that its outputs have on storage once they are published; absent where none are kept there. */
  output: z.string().optional(),
  outputs: jobOutputs.optional(),
  limits: jobLimits.optional(),
  labels: z.record(z.string(), z.string()).optional(),
});

/** See {@link jobView}. */
export type JobView = z.infer<typeof jobView>;
