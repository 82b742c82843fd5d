// A vitest reporter: names the tests that passed only at the second attempt.
export default class SecondAttempts {
  #names = [];

  onTestCaseResult(testCase) {
    if (testCase.diagnostic()?.flaky) this.#names.push(`${testCase.module.relativeModuleId} > ${testCase.fullName}`);
  }

  onTestRunEnd() {
    process.stdout.write(`tests that passed only at the second attempt: ${this.#names.length}\n`);
    for (const name of this.#names) process.stdout.write(`  ${name}\n`);
  }
}
