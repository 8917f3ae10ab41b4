package store_test

const writerEnv = "OFDVR_TEST_STORE_WRITER"

func writeUntilKilled(string) {}
