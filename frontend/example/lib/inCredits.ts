/** "1 credit", "1,200 credits" */
export const inCredits = (n: number) => `${n.toLocaleString()} ${n === 1 ? "credit" : "credits"}`;
