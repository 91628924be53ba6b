import type { SupabaseClient } from "@supabase/supabase-js";

/** Which pictures their owner has hidden. A picture is named as an edit names it: `task:ID/N`. */
export interface HiddenPictures {
  read(): Promise<string[]>;
  set(task: string, n: number, hidden: boolean): Promise<void>;
}

export const nameOfPicture = (task: string, n: number) => `task:${task}/${n}`;

/** Keeps them in this browser: nobody else sees the choice. */
export const hiddenInBrowser: HiddenPictures = {
  async read() {
    return JSON.parse(localStorage.getItem("hidden") ?? "[]");
  },
  async set(task, n, hidden) {
    const names = new Set(await this.read());
    if (hidden) names.add(nameOfPicture(task, n));
    else names.delete(nameOfPicture(task, n));
    localStorage.setItem("hidden", JSON.stringify([...names]));
  },
};

const page = 1000; // rows that Supabase returns at most

/** Keeps them in the column `hidden` of `ai_images`, for every browser of the owner. */
export function hiddenInSupabase(supabase: SupabaseClient, owner: string): HiddenPictures {
  return {
    async read() {
      const names: string[] = [];
      for (;;) {
        const { data, error } = await supabase.from("ai_images").select("task, n")
          .eq("owner", owner).eq("hidden", true)
          .order("task").order("n").range(names.length, names.length + page - 1);
        if (error) throw new Error(`What you have hidden could not be read: ${error.message}`);
        names.push(...data.map(({ task, n }) => nameOfPicture(task, n)));
        if (data.length < page) return names;
      }
    },
    async set(task, n, hidden) {
      const { data, error } = await supabase.from("ai_images").update({ hidden })
        .eq("task", task).eq("n", n).select("n");
      if (error) throw new Error(`This could not be saved: ${error.message}`);
      if (data.length === 0) throw new Error("This picture has not arrived in Supabase yet. Try again in a few seconds.");
    },
  };
}
