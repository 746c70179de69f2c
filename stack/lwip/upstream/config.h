/* SPDX-License-Identifier: Apache-2.0 */
/* lwIP's lwip_check.h asks for the header of a configuration, and uses nothing of it. */
