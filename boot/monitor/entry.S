// The machine's first instruction: PVH hands over in 32-bit mode, paging off, EBX pointing at the start info. From here to long mode with the first
// 4 GiB mapped at their addresses, then C++. Source: Xen x86/HVM direct boot ABI.
    .section .note.pvh, "a", @note
    .balign 4
    .long 4                     // name size
    .long 4                     // descriptor size
    .long 18                    // XEN_ELFNOTE_PHYS32_ENTRY
    .asciz "Xen"
    .long pvh_entry

    .set cr4_pae_fxsr_xmm, 0x620
    .set cr0_running, 0x80010023        // PG WP NE MP PE
    .set msr_efer, 0xC0000080
    .set efer_lme_nxe, 0x900
    .set large_present_writable, 0x83

    .section .text.entry, "ax", @progbits
    .code32
    .globl pvh_entry
pvh_entry:
    cli
    cld
    rdtsc
    movl %eax, boot_entry_tsc
    movl %edx, boot_entry_tsc + 4
    movl %ebx, boot_start_info
    // 4 directories of 512 large pages, one pointer table, one root.
    movl $boot_directories, %edi
    movl $large_present_writable, %eax
    xorl %edx, %edx
1:  movl %eax, (%edi)
    movl $0, 4(%edi)
    addl $8, %edi
    addl $0x200000, %eax
    jnc 1b                      // 2048 entries: the address wraps at 4 GiB
    movl $boot_pointers, %edi
    movl $(boot_directories + 3), %eax
    movl $4, %ecx
2:  movl %eax, (%edi)
    addl $8, %edi
    addl $0x1000, %eax
    loop 2b
    movl $(boot_pointers + 3), boot_root
    movl $cr4_pae_fxsr_xmm, %eax
    movl %eax, %cr4
    movl $boot_root, %eax
    movl %eax, %cr3
    movl $msr_efer, %ecx
    rdmsr
    orl $efer_lme_nxe, %eax
    wrmsr
    movl $cr0_running, %eax
    movl %eax, %cr0
    lgdt boot_gdt_pointer
    ljmp $0x08, $long_entry

    .code64
long_entry:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movl $boot_stack_top, %esp
    xorl %ebp, %ebp
    fninit
    movl boot_start_info, %edi
    movq boot_entry_tsc, %rsi
    call monitor_main
    ud2

    // Another CPU, from the trampoline: in long mode with the monitor's own page tables.
    .globl ap_entry
ap_entry:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movq ap_stack_top, %rsp
    movq ap_argument, %rdi
    xorl %ebp, %ebp
    fninit
    call monitor_ap_main
    ud2

    // void run_on_stack(u64 stack_top, void (*function)(void*), void* argument)
    .globl run_on_stack
run_on_stack:
    movq %rdi, %rsp
    movq %rdx, %rdi
    xorl %ebp, %ebp
    call *%rsi
    ud2

    .section .rodata.boot, "a", @progbits
    .balign 8
    .globl boot_gdt
boot_gdt:
    .quad 0
    .quad 0x00AF9B000000FFFF    // 64-bit code
    .quad 0x00CF93000000FFFF    // data
boot_gdt_end:
boot_gdt_pointer:
    .word boot_gdt_end - boot_gdt - 1
    .long boot_gdt

    // The code that a startup IPI runs, copied below 1 MiB; real mode, CS:0 is its first byte.
    .globl trampoline_begin, trampoline_end, trampoline_root
    .balign 16
    .code16
trampoline_begin:
    cli
    cld
    movw %cs, %ax
    movw %ax, %ds
    lgdtl trampoline_gdt_pointer - trampoline_begin
    movl $cr4_pae_fxsr_xmm, %eax
    movl %eax, %cr4
    movl trampoline_root - trampoline_begin, %eax
    movl %eax, %cr3
    movl $msr_efer, %ecx
    rdmsr
    orl $efer_lme_nxe, %eax
    wrmsr
    movl $cr0_running, %eax
    movl %eax, %cr0             // real mode to long mode in one step
    ljmpl $0x08, $ap_entry
    .balign 8
trampoline_gdt_pointer:
    .word boot_gdt_end - boot_gdt - 1
    .long boot_gdt
trampoline_root:
    .long 0
trampoline_end:

    .bss
    .balign 4096
boot_root: .skip 4096
boot_pointers: .skip 4096
boot_directories: .skip 4 * 4096
    .skip 16384
boot_stack_top:
    .globl ap_stack_top, ap_argument
boot_entry_tsc: .quad 0
ap_stack_top: .quad 0
ap_argument: .quad 0
boot_start_info: .long 0
    .section .note.GNU-stack, "", @progbits
