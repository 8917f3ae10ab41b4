#!/bin/sh
# gotestsum runs this script after the tests. It prints the summary line, which
# counts subtests as tests, and fails if no test ran.
passed=$(grep -c '"Action":"pass".*"Test":' "$GOTESTSUM_JSONFILE_TIMING_EVENTS")
echo "$passed passed, $TESTS_FAILED failed"
[ $((passed + TESTS_FAILED)) -gt 0 ]
