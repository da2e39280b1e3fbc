/* Reads a filter as numbers and writes the program that libseccomp makes of it.
 *
 *   line 1: default action
 *   others: action, call number, count of conditions, then per condition: argument, comparison, two values
 *
 * Calls that this libseccomp does not know go to standard error.
 */
#include <errno.h>
#include <inttypes.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void need(int ok, const char *what)
{
	if (!ok) {
		fprintf(stderr, "oracle: %s\n", what);
		exit(1);
	}
}

int main(void)
{
	uint32_t action;
	int nr, count;

	need(scanf("%" SCNu32, &action) == 1, "first line");
	scmp_filter_ctx ctx = seccomp_init(action);
	need(ctx != NULL, "init");
	need(seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS) == 0, "foreign architectures");
	while (scanf("%" SCNu32 " %d %d", &action, &nr, &count) == 3) {
		struct scmp_arg_cmp args[6];
		need(count >= 0 && count <= 6, "conditions");
		for (int i = 0; i < count; i++) {
			unsigned op;
			need(scanf("%u %u %" SCNu64 " %" SCNu64, &args[i].arg, &op, &args[i].datum_a, &args[i].datum_b) == 4,
			     "condition");
			args[i].op = op;
		}
		int err = seccomp_rule_add_array(ctx, action, nr, count, args);
		if (err == -EFAULT) { /* a call that is younger than the library */
			fprintf(stderr, "%d\n", nr);
		} else if (err != 0) {
			fprintf(stderr, "oracle: rule for call %d: %s\n", nr, strerror(-err));
			return 1;
		}
	}
	need(seccomp_export_bpf(ctx, STDOUT_FILENO) == 0, "export");
	return 0;
}
