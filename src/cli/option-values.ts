/** Values of options as commander parses them: what is no such value is said with the option's name. */
import { InvalidArgumentError } from "commander";

export const number = (text: string): number => {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) throw new InvalidArgumentError("Expected a number.");
  return value;
};

export const words = (text: string): string[] => {
  const list = text.split(",").map((word) => word.trim());
  if (list.includes("")) throw new InvalidArgumentError("Expected words with commas between them.");
  return list;
};

export const wholes = (text: string): number[] =>
  words(text).map((word) => {
    if (!/^\d+$/.test(word)) throw new InvalidArgumentError("Expected whole numbers with commas between them.");
    return Number(word);
  });
