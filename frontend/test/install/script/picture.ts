// Makes a picture and prints its link, then what a refused order says.
import process from "node:process";

import { ImagesClient, ImagesError, type NewTask, type Task } from "@preset/images";

const images = new ImagesClient({ url: process.env.IMAGES_URL!, token: () => process.env.TOKEN! });
const order: NewTask = { prompt: "a red bicycle", aspectRatio: "4:3" };
const task: Task = await images.wait((await images.create(order)).id);
if (task.status !== "succeeded") throw new Error(task.statusText);
console.log(task.images[0]?.url);
try {
  await images.create({ ...order, numImages: 9 });
} catch (error) {
  if (!(error instanceof ImagesError)) throw error;
  console.log(error.code, error.message);
}
